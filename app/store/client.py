"""The one DynamoDB client of a process."""

import json
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import BotoCoreError

from app.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient


class CorruptAnswer(BotoCoreError):  # type: ignore[misc]
    """An answer that was damaged on its way; botocore would take it for one without content."""

    fmt = "{event} does not have the content that was sent"


def open_client(settings: Settings) -> "AbstractAsyncContextManager[DynamoDBClient]":
    """The client that requests are served with; its first use costs about 140 ms, so make one only.

    The SDK makes single attempts: its retries would hide whether an earlier attempt had been applied.
    """
    return _open(
        AioConfig(
            http_session_cls=_NoRedirects,
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            max_pool_connections=settings.max_connections,
        )
    )


def open_patient_client() -> "AbstractAsyncContextManager[DynamoDBClient]":
    """A client for making and checking the table: no request waits for it, and its calls may be repeated."""
    return _open(AioConfig(retries={"mode": "standard"}, connect_timeout=5, read_timeout=10))


class _NoRedirects(AIOHTTPSession):  # type: ignore[misc]
    """DynamoDB never redirects: a write that went where a proxy sends it would be made elsewhere, and told as made."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        return SimpleNamespace(request=partial(session.request, allow_redirects=False))


@asynccontextmanager
async def _open(config: AioConfig) -> "AsyncIterator[DynamoDBClient]":
    # Endpoint, credentials and profiles come from AWS's own configuration.
    # botocore knows AWS_DEFAULT_REGION only; every other AWS SDK reads AWS_REGION first.
    session = aioboto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    async with session.client("dynamodb", config=config) as client:
        client.meta.events.register("before-parse.dynamodb", _check_integrity)
        yield client


def _check_integrity(response_dict: dict[str, Any], event_name: str, **_: Any) -> None:
    """Hold an answer against its checksum, which botocore leaves to the retries that are off here.

    Without it (an engine or a proxy that sends none) the content has to be a JSON object at least:
    botocore reads other content as an answer with nothing in it, so a write would seem to be made
    and a read would find no item; and a refusal that DynamoDB did not write proves nothing.
    """
    status, body = response_dict["status_code"], response_dict["body"]
    checksum = response_dict["headers"].get("x-amz-crc32")
    intact = _is_answer(body) if checksum is None else checksum == str(zlib.crc32(body))
    if not intact or 200 < status < 400:
        raise CorruptAnswer(event=event_name)


def _is_answer(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("Item", {}), dict)
