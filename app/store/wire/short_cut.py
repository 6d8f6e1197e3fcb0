"""The short cut, as a class that the SDK puts before its own when it makes a client.

What it does not understand goes the SDK's way: other calls and parameters, proxies, endpoints with a
path, signatures other than version 4. So do answers that refuse a call, in all but the sending.
"""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
from aiobotocore.httpsession import AIOHTTPSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

from app.store.integrity import CorruptAnswer, check_integrity
from app.store.wire.connections import Address, ConnectionNotMade, ConnectionPool, Reply
from app.store.wire.signing import CONTENT_TYPE, TARGET_PREFIX, Signer

if TYPE_CHECKING:
    from aiobotocore.client import AioBaseClient
else:
    AioBaseClient = object

Answer: TypeAlias = dict[str, Any]

_TABLE_AND_CAPACITY = {"TableName", "ReturnConsumedCapacity"}
_CONDITION = {
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
}
_PARAMETERS = {
    "GetItem": {*_TABLE_AND_CAPACITY, "Key", "ConsistentRead"},
    "PutItem": {*_TABLE_AND_CAPACITY, *_CONDITION, "Item"},
    "DeleteItem": {*_TABLE_AND_CAPACITY, *_CONDITION, "Key"},
    "UpdateItem": {*_TABLE_AND_CAPACITY, *_CONDITION, "Key", "UpdateExpression", "ReturnValues"},
}
# DynamoDB refuses signatures of more than 15 minutes ago or ahead; the others say that a credential has aged.
_REFUSALS_OF_TIME = ("InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
_SKEW_SECONDS = 240.0
# How long a credential is signed with before it is asked for again; it is refreshed minutes before it ends.
_CREDENTIALS_KEPT_SECONDS = 1.0


class _Body(msgspec.Struct):
    """What is read of an answer; attribute values as they are written."""

    Item: dict[str, msgspec.Raw] | None = None
    Attributes: dict[str, msgspec.Raw] | None = None
    ConsumedCapacity: dict[str, Any] | None = None


class _Refusal(msgspec.Struct):
    """An answer that refuses a call; the message has had two spellings."""

    type: str = msgspec.field(name="__type", default="")
    message: str | None = None
    Message: str | None = None
    Item: dict[str, msgspec.Raw] | None = None

    @property
    def code(self) -> str:
        """Without what the SDK takes off: com.amazonaws.dynamodb.v20120810#Code, Code:http://internal/."""
        return self.type.partition(":")[0].rpartition("#")[2]


_encode = msgspec.json.Encoder().encode
_body_in = msgspec.json.Decoder(_Body).decode
_refusal_in = msgspec.json.Decoder(_Refusal).decode


class ShortCut(AioBaseClient):  # type: ignore[misc]
    """A first base of a DynamoDB client's class: GetItem, PutItem, DeleteItem and UpdateItem go straight.

    Parameters and answers are the SDK's, but that attribute values go in and out as their JSON text
    (`msgspec.Raw`), and that an answer has only `Item` or `Attributes`, and `ConsumedCapacity`. Raised
    are the SDK's errors; ConnectionNotMade and CorruptAnswer are two more of its kind.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._asking = asyncio.Lock()
        self._asked_at = -_CREDENTIALS_KEPT_SECONDS
        self._way: _Way | None = None
        # How far the clock of DynamoDB is ahead of ours, once it has refused a signature for that.
        self._skew = 0.0

    async def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Answer:
        known = _PARAMETERS.get(operation_name)
        # A name with a colon is an ARN, which has an endpoint of its own.
        if known is None or not known.issuperset(api_params) or ":" in api_params["TableName"]:
            return await self._standard(operation_name, api_params)
        if time.monotonic() - self._asked_at < _CREDENTIALS_KEPT_SECONDS:
            way = self._way
        else:
            way = await self._known_way(operation_name)
        if way is None:
            return await self._standard(operation_name, api_params)
        body = _encode(api_params)
        reply = await way.answer(operation_name, body, at=time.time() + self._skew)
        if reply.status != 200 and self._has_learnt_skew(reply):
            # Refused unread, so it is the first attempt yet.
            reply = await way.answer(operation_name, body, at=time.time() + self._skew)
        if reply.status == 200:
            return _answer(operation_name, reply.body)
        raise await self._refused(operation_name, reply)

    async def __aexit__(self, *error: Any) -> None:
        if self._way is not None:
            self._way.pool.close()
        await super().__aexit__(*error)

    async def _standard(self, operation_name: str, api_params: dict[str, Any]) -> Answer:
        answer: Answer = await super()._make_api_call(operation_name, api_params)
        return answer

    async def _known_way(self, operation_name: str) -> "_Way | None":
        if self.meta.config.signature_version != "v4":
            return None  # And there may be no credentials to ask for.
        async with self._asking:
            if (now := time.monotonic()) - self._asked_at < _CREDENTIALS_KEPT_SECONDS:
                return self._way
            credentials = await self._credentials()
            old = self._way
            if old is None or old.credentials != credentials:
                # An endpoint may depend on the credential's account.
                self._way = await self._new_way(operation_name, credentials)
                if old is not None and (self._way is None or self._way.pool is not old.pool):
                    old.pool.close()
            self._asked_at = now
            return self._way

    async def _credentials(self) -> ReadOnlyCredentials:
        credentials = self._request_signer._credentials
        if credentials is None:
            raise NoCredentialsError
        frozen: ReadOnlyCredentials = await credentials.get_frozen_credentials()
        return frozen

    async def _new_way(self, operation_name: str, credentials: ReadOnlyCredentials) -> "_Way | None":
        model = self.meta.service_model.operation_model(operation_name)
        context: dict[str, Any] = {"client_config": self.meta.config, "auth_type": model.resolved_auth_type}
        url, headers, _ = await self._resolve_endpoint_ruleset(model, {}, context)
        signing = context.get("signing", {})
        session = self._endpoint.http_session
        parts = urlsplit(url)
        is_understood = (
            context["auth_type"] in (None, "v4")
            and signing.get("signing_name", "dynamodb") == "dynamodb"
            and not headers
            and parts.hostname is not None
            and parts.path in ("", "/")
            and not parts.query
            and isinstance(session, AIOHTTPSession)
            and session._proxy_config.proxy_url_for(url) is None
            and (parts.scheme == "http" or (parts.scheme == "https" and session._verify))
        )
        if not is_understood:
            return None
        host = parts.netloc.rpartition("@")[2]
        if parts.port == (443 if parts.scheme == "https" else 80):
            host = host.rpartition(":")[0]
        try:
            signer = Signer(credentials, host=host, region=signing.get("region") or self.meta.region_name)
        except ValueError:
            return None
        pool = self._way.pool if self._way and self._way.url == url else await self._new_pool(url, session)
        return _Way(url, credentials, signer, pool, host, self._user_agent_creator.to_string())

    async def _new_pool(self, url: str, session: AIOHTTPSession) -> ConnectionPool:
        parts = urlsplit(url)
        tls = None
        if parts.scheme == "https":
            # Reading the certificates of all authorities takes tens of milliseconds.
            try:
                tls = await asyncio.to_thread(session.verifying_context)
            except OSError as error:
                raise ConnectionNotMade(endpoint_url=url, error=error) from error
        config = self.meta.config
        address = Address(url, parts.hostname or "", parts.port or (443 if tls else 80), tls)
        return ConnectionPool(
            address,
            limit=config.max_pool_connections,
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
        )

    def _has_learnt_skew(self, reply: Reply) -> bool:
        """Whether the call was refused because our clock is wrong by more than was known."""
        # Of another status it would not be known what became of the call.
        if reply.status >= 500 or (refusal := _refusal(reply)) is None or refusal.code not in _REFUSALS_OF_TIME:
            return False
        try:
            skew = parsedate_to_datetime(_text(reply, b"date") or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return False
        if abs(skew - self._skew) < _SKEW_SECONDS:
            return False
        self._skew = skew
        return True

    async def _refused(self, operation_name: str, reply: Reply) -> Exception:
        parsed = _failed_condition(reply)
        if parsed is None:
            parsed = await self._parsed(operation_name, reply)
        code = parsed["Error"]["Code"]
        if code == "ExpiredTokenException":
            self._asked_at = -_CREDENTIALS_KEPT_SECONDS
        error: Exception = self.exceptions.from_code(code)(parsed, operation_name)
        return error

    async def _parsed(self, operation_name: str, reply: Reply) -> Answer:
        """The refusal as the SDK reads it: codes have several forms, and a proxy's page has none."""
        model = self.meta.service_model.operation_model(operation_name)
        parser = self._endpoint._response_parser_factory.create_parser(self.meta.service_model.resolved_protocol)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.headers.items()}
        answer = {"status_code": reply.status, "headers": headers, "body": reply.body, "context": {}}
        parsed: Answer = await parser.parse(answer, model.output_shape)
        return parsed


class _Way:
    """How calls with one credential go: signed for an endpoint, over its connections."""

    def __init__(
        self,
        url: str,
        credentials: ReadOnlyCredentials,
        signer: Signer,
        pool: ConnectionPool,
        host: str,
        user_agent: str,
    ) -> None:
        self.url = url
        self.credentials = credentials
        self.pool = pool
        self._signer = signer
        self._head = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\nUser-Agent: {user_agent}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nX-Amz-Target: {TARGET_PREFIX}"
        ).encode("latin-1")

    async def answer(self, operation: str, body: bytes, *, at: float) -> Reply:
        """Send a call, signed for that time (seconds since the epoch); what comes back is as DynamoDB sent it."""
        signed = self._signer.headers(operation, body, at=at)
        request = b"%b%b\r\n%bContent-Length: %d\r\n\r\n%b" % (self._head, operation.encode(), signed, len(body), body)
        reply = await self.pool.exchange(request)
        check_integrity(operation, reply.status, reply.headers.get(b"x-amz-crc32"), reply.body)
        return reply


def _answer(operation: str, text: bytes) -> Answer:
    try:
        body = _body_in(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptAnswer(event=operation) from error
    answer: Answer = {}
    if body.Item is not None:
        answer["Item"] = body.Item
    if body.Attributes is not None:
        answer["Attributes"] = body.Attributes
    if body.ConsumedCapacity is not None:
        answer["ConsumedCapacity"] = body.ConsumedCapacity
    return answer


def _refusal(reply: Reply) -> _Refusal | None:
    """None of what DynamoDB does not write."""
    try:
        return _refusal_in(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _failed_condition(reply: Reply) -> Answer | None:
    """A conflict, read here because it brings an item; None if it is another refusal."""
    refusal = _refusal(reply)
    if refusal is None or refusal.code != "ConditionalCheckFailedException":
        return None
    parsed: Answer = {
        "Error": {"Code": refusal.code, "Message": refusal.message or refusal.Message or ""},
        "ResponseMetadata": {"HTTPStatusCode": reply.status, "RequestId": _text(reply, b"x-amzn-requestid")},
    }
    if refusal.Item is not None:
        parsed["Item"] = refusal.Item
    return parsed


def _text(reply: Reply, header: bytes) -> str | None:
    value = reply.headers.get(header)
    return None if value is None else value.decode("latin-1")
