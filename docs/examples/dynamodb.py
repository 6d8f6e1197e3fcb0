"""A table for an example, and the service on it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from secrets import token_hex
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3

from app.race.playlists import running_service
from app.store.embedded import point_sdk_at, running_engine

KEY = {"partition_key": "PLAYLIST_1", "sort_key": "INFO_"}


@contextmanager
def music_table() -> Iterator[Any]:
    """An empty table, on the DynamoDB that AWS_ENDPOINT_URL_DYNAMODB names or on an embedded one."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB")
    with nullcontext(endpoint) if endpoint else running_engine() as url:
        if url != endpoint:
            point_sdk_at(url, os.environ)
        table = boto3.resource("dynamodb", region_name=os.environ["AWS_REGION"]).create_table(
            TableName=f"guide_{token_hex(8)}",
            KeySchema=[
                {"AttributeName": "partition_key", "KeyType": "HASH"},
                {"AttributeName": "sort_key", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEY],
            BillingMode="PAY_PER_REQUEST",
        )
        table.wait_until_exists()
        try:
            yield table
        finally:
            table.delete()


def through(proxy_url: str, table: Any) -> Any:
    """The same table, reached through a proxy."""
    return boto3.resource("dynamodb", region_name=os.environ["AWS_REGION"], endpoint_url=proxy_url).Table(table.name)


@contextmanager
def service_on(table: Any, dynamodb_url: str | None = None) -> Iterator[str]:
    """The service on this table; yields its URL."""
    os.environ["PLAYLISTS_TABLE_NAME"] = table.name
    if dynamodb_url:
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb_url
    with running_service() as url:
        yield url


def patch(url: str, playlist: dict[str, Any]) -> str:
    """Send a merge patch; returns the status, and what came of it."""
    headers = {"Content-Type": "application/merge-patch+json"}
    request = Request(f"{url}/playlists/PLAYLIST_1", json.dumps(playlist).encode(), headers, method="PATCH")
    try:
        with urlopen(request) as answer:
            body = json.load(answer)
            return f"{answer.status}, {body['playlist_name']!r} at version {body['playlist_version']}"
    except HTTPError as refusal:
        return f"{refusal.code}, {json.load(refusal)['code']}"
