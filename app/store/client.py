"""The one DynamoDB client of a process.

Whichever way a call goes, attribute values go in and out as their JSON text (app/store/values.py).
"""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aioboto3
import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import get_cert_path

from app.settings import Settings
from app.store.integrity import check_integrity, check_items
from app.store.values import decoded, encoded_item
from app.store.wire.short_cut import ShortCut

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient


def open_client(settings: Settings, *, is_traced: bool = False) -> "AbstractAsyncContextManager[DynamoDBClient]":
    """The client that requests are served with; its first use costs about 140 ms, so make one only.

    The SDK makes single attempts: its retries would hide whether an earlier attempt had been applied.
    `is_traced`: its calls are to be seen by what traces the SDK's, so they go the SDK's way.
    """
    config = AioConfig(
        http_session_cls=_HttpSession,
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        max_pool_connections=settings.max_connections,
    )
    return _open(config, takes_short_cut=settings.client == "short-cut" and not is_traced)


def open_patient_client() -> "AbstractAsyncContextManager[DynamoDBClient]":
    """A client for making and checking the table: no request waits for it, and its calls may be repeated."""
    config = AioConfig(http_session_cls=_HttpSession, retries={"mode": "standard"}, connect_timeout=5, read_timeout=10)
    return _open(config, takes_short_cut=False)


class _HttpSession(AIOHTTPSession):  # type: ignore[misc]
    """What aiobotocore sends with, but that it follows no redirects and knows whom it talks to.

    DynamoDB never redirects: a write that went where a proxy sends it would be made elsewhere, and told as
    made. aiobotocore takes its TLS context from botocore, which leaves the server's name to urllib3 to
    check; aiohttp leaves it to the context.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        return SimpleNamespace(request=partial(session.request, allow_redirects=False))

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.check_hostname = True
        return context

    def verifying_context(self) -> ssl.SSLContext:
        """The TLS context of connections without a proxy: AWS_CA_BUNDLE and its like decide whom it trusts."""
        context = self._get_ssl_context()
        if self._cert_file:
            context.load_cert_chain(self._cert_file, self._key_file)
        context.load_verify_locations(get_cert_path(self._verify))
        return context


@asynccontextmanager
async def _open(config: AioConfig, *, takes_short_cut: bool) -> "AsyncIterator[DynamoDBClient]":
    # Endpoint, credentials and profiles come from AWS's own configuration.
    # botocore knows AWS_DEFAULT_REGION only; every other AWS SDK reads AWS_REGION first.
    session = aioboto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    if takes_short_cut:
        # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/events.html#extensibility-guide
        session._session.register("creating-client-class.dynamodb", _put_short_cut_first)
    async with session.client("dynamodb", config=config) as client:
        client.meta.events.register("before-parse.dynamodb", _check_integrity)
        client.meta.events.register("provide-client-params.dynamodb", _with_values_decoded)
        client.meta.events.register("after-call.dynamodb", _encode_values)
        yield client


def _put_short_cut_first(base_classes: list[type], **_: Any) -> None:
    base_classes.insert(0, ShortCut)


def _check_integrity(response_dict: dict[str, Any], event_name: str, **_: Any) -> None:
    checksum = response_dict["headers"].get("x-amz-crc32")
    # As aiohttp has decoded it.
    sent = None if checksum is None else checksum.encode("utf-8", "surrogateescape")
    check_integrity(event_name, response_dict["status_code"], sent, response_dict["body"])
    # botocore's parser drops what does not fit, or raises errors that are not its own.
    check_items(event_name, response_dict["body"])


def _with_values_decoded(params: Any, **_: Any) -> Any:
    if isinstance(params, msgspec.Raw):
        return decoded(params)
    if isinstance(params, dict):
        return {name: _with_values_decoded(value) for name, value in params.items()}
    if isinstance(params, list):
        return [_with_values_decoded(element) for element in params]
    return params


def _encode_values(parsed: dict[str, Any], **_: Any) -> None:
    for member in ("Attributes", "Item", "LastEvaluatedKey"):
        if parsed.get(member):
            parsed[member] = encoded_item(parsed[member])
    if parsed.get("Items"):
        parsed["Items"] = [encoded_item(item) for item in parsed["Items"]]
