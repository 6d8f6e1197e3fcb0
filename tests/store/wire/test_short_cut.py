"""The short cut against the SDK's way: the same requests, and the same of every answer."""

import asyncio
import json
import time
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import botocore.auth
import pytest
import pytest_asyncio
from aiobotocore.config import AioConfig
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import OutcomeUnknown, PlaylistError, StorageUnavailable
from app.settings import load_settings
from app.store import client as client_module
from app.store.client import open_client
from app.store.dynamodb import ConditionFailed, DynamoDBTable, NotANumber
from app.store.items import NO_SUCH_ITEM, Condition, owned_by
from app.store.ledger import opened_ledger
from app.store.values import Item, decoded, encoded_item, number, string, string_list
from app.store.wire import short_cut
from tests.store.wire.servers import Connection, Request, Server, answer, serving

# What differs between event loops is in the connections.
pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["asyncio"])

PLAIN_ITEM = {
    "partition_key": {"S": "p1"},
    "sort_key": {"S": "INFO_"},
    "all": {
        "M": {
            "": {"S": ""},
            'ä "\\/\b\f\n\r\t\x00\x7f\u2028\ufeff😀': {"S": 'ä "\\/\b\f\n\r\t\x00\x7f\u2028\ufeff😀'},
            "numbers": {"NS": ["0", "-1.5", "1E+125", "-9.9999999999999999999999999999999999999E-130"]},
            "N": {"N": "12345678901234567890123456789012345678"},
            "B": {"B": bytes(range(256))},
            "none": {"B": b""},
            "BS": {"BS": [b"\x00", b"\xff\xfe"]},
            "SS": {"SS": ["a", "ä"]},
            "L": {"L": [{"L": []}, {"M": {}}, {"L": [{"M": {"B": {"B": b"x"}}}]}]},
            "NULL": {"NULL": True},
            "BOOL": {"BOOL": False},
        }
    },
}
ITEM = encoded_item(PLAIN_ITEM)
TRACKS = encoded_item({"track_tokens": {"L": [{"S": "a/1"}, {"S": "ä\\/2"}]}})
CONDITION = Condition("playlist_version = :v", {":v": number(7), ":w": string('ä\\"')})
Call = Callable[[DynamoDBTable], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "GetItem": lambda table: table.get_item("p1", "INFO_"),
    "GetItem of an odd key": lambda table: table.get_item('ä"\\\n😀', ""),
    "PutItem": lambda table: table.put_item({**ITEM, **TRACKS, "more": string_list(["a/1", "b/2"])}, NO_SUCH_ITEM),
    "PutItem with values": lambda table: table.put_item(ITEM, CONDITION),
    "DeleteItem": lambda table: table.delete_item("p1", "INFO_", NO_SUCH_ITEM),
    "DeleteItem with values": lambda table: table.delete_item("p1", "INFO_", CONDITION),
    "UpdateItem": lambda table: table.increment("p1", "PLAYS_", "play_count"),
}
OTHER_CALLS: dict[str, Call] = {
    "Query": lambda table: table.query_index("an_index", owned_by("me"), limit=1, after=None),
    "TransactWriteItems": lambda table: table.increment_once("p1", "PLAYS_", "play_count", once=b"k1"),
}


async def get(table: DynamoDBTable) -> Item | None:
    return await table.get_item("p1", "INFO_")


async def put(table: DynamoDBTable) -> None:
    await table.put_item(ITEM, NO_SUCH_ITEM)


@dataclass
class Engine:
    """A DynamoDB that answers every request with the same, or as `answered` says; and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    lines: tuple[str, ...] = ()
    answered: "Callable[[Request], bytes] | None" = None
    requests: list[Request] = field(default_factory=list)

    async def __call__(self, connection: Connection) -> None:
        while True:
            asked = await connection.request()
            self.requests.append(asked)
            told = self.answered(asked) if self.answered else answer(self.body, *self.lines, status=self.status)
            await connection.send(told)

    @property
    def keys(self) -> list[str]:
        """The access keys that requests were signed with."""
        return [each.headers["authorization"].partition("Credential=")[2].partition("/")[0] for each in self.requests]

    @property
    def went_the_short_way(self) -> list[bool]:
        """Of each request; the SDK numbers its own."""
        return ["amz-sdk-invocation-id" not in each.headers for each in self.requests]


@asynccontextmanager
async def table_on(url: str, name: str = "short-cut", **options: Any) -> AsyncIterator[DynamoDBTable]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        # Long, so that a busy machine is no fault of the client's.
        settings = load_settings(auth="none", client=name, connect_timeout_seconds=10, read_timeout_seconds=10)
        async with open_client(settings, **options) as client:
            yield DynamoDBTable(client, "music_items")


@dataclass
class Both:
    """Two tables of one engine, by each client."""

    engine: Engine
    server: Server
    short_cut: DynamoDBTable
    standard: DynamoDBTable


@pytest_asyncio.fixture(loop_scope="function")
async def both(endpoint_url: str) -> AsyncIterator[Both]:
    engine = Engine()
    async with (
        serving(engine) as server,
        table_on(server.url) as one,
        table_on(server.url, "standard") as other,
    ):
        yield Both(engine, server, one, other)


def expected_authorization(request: Request, url: str, credential: ReadOnlyCredentials) -> str:
    """What botocore signs, of the headers that the request says are signed."""
    _, _, names = request.headers["authorization"].partition("SignedHeaders=")
    signed = {name: request.headers[name] for name in names.partition(",")[0].split(";")}
    at = datetime.strptime(signed.pop("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    signed.pop("x-amz-security-token", None)
    again = AWSRequest(method="POST", url=url, data=request.body, headers=signed)
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(botocore.auth, "get_current_datetime", lambda: at)
        SigV4Auth(credential, "dynamodb", "us-east-1").add_auth(again)
    authorization: str = again.headers["Authorization"]
    return authorization


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_requests_of_both_are_the_same(
    endpoint_url: str, call: Call, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token is not None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    engine = Engine(body=b'{"Attributes": {"play_count": {"N": "1"}}}')
    async with serving(engine) as server:
        for name in ("short-cut", "standard"):
            async with table_on(server.url, name) as table:
                await call(table)

    one, other = engine.requests
    assert engine.went_the_short_way == [True, False]
    assert one.line == other.line == "POST / HTTP/1.1"
    for header in ("host", "content-type", "x-amz-target", "x-amz-security-token", "accept-encoding"):
        assert one.headers.get(header) == other.headers.get(header), header
    assert json.loads(one.body) == json.loads(other.body)
    for request in (one, other):
        assert request.headers.get("x-amz-security-token") == token
        assert request.headers["authorization"] == expected_authorization(
            request, server.url, ReadOnlyCredentials("local", "local", token)
        )
        sent_at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(sent_at - datetime.now(UTC)) < timedelta(minutes=1)


# Answers.


def plain(value: Any) -> Any:
    """An outcome in a form that can be compared: values have several forms as JSON text."""
    if isinstance(value, dict):
        return {name: decoded(attribute) for name, attribute in value.items()}
    return value


async def outcome(call: Call, table: DynamoDBTable) -> Any:
    with opened_ledger() as ledger:
        result = await _outcome(call, table)
    return result, [(entry.operation, entry.outcome, entry.capacity_units) for entry in ledger.calls]


async def _outcome(call: Call, table: DynamoDBTable) -> Any:
    try:
        return "returned", plain(await call(table))
    except ConditionFailed as conflict:
        return "condition failed", plain(conflict.item)
    except (PlaylistError, NotANumber, ClientError, LookupError) as error:
        cause = error if isinstance(error, ClientError) else error.__cause__
        told = cause.response if isinstance(cause, ClientError) else {}
        metadata = told.get("ResponseMetadata", {})
        return (
            type(error).__name__,
            vars(error).get("passing"),
            type(cause).__name__ if told else None,
            (told.get("Error", {}).get("Code"), told.get("Error", {}).get("Message") or ""),
            metadata.get("HTTPStatusCode"),
            metadata.get("RequestId"),
        )


async def check_same(both: Both) -> None:
    """The outcome of each call is the same for both clients."""
    for name in ("GetItem", "PutItem", "DeleteItem", "UpdateItem"):
        call = CALLS[name]
        assert await outcome(call, both.short_cut) == await outcome(call, both.standard), name


JSON_ITEM = json.loads(json.dumps(PLAIN_ITEM, default=lambda binary: b64encode(binary).decode()))
SUCCESSES: dict[str, Any] = {
    "nothing": {},
    "an item": {"Item": JSON_ITEM},
    "an empty item": {"Item": {}},
    "no attributes": {"Attributes": None},
    "a sum": {"Attributes": {"play_count": {"N": "12345678901234567890123456789012345678"}}},
    "another sum": {"Attributes": {"another": {"N": "1"}}},
    "capacity": {"ConsumedCapacity": {"TableName": "music_items", "CapacityUnits": 2.5}, "Item": JSON_ITEM},
    "no capacity": {"ConsumedCapacity": None},
    "unknown members": {"Item": JSON_ITEM, "Unknown": [{"a": 1}], "ItemCollectionMetrics": {}},
    "unknown types": {"Item": {"a": {"S": "x"}, "b": {"S": "y"}}},
}


@pytest.mark.parametrize("is_checked", [False, True], ids=["unchecked", "checked"])
@pytest.mark.parametrize("escaped", [False, True], ids=["UTF-8", "escaped"])
@pytest.mark.parametrize("body", SUCCESSES.values(), ids=SUCCESSES.keys())
async def test_answer_means_the_same_to_both(both: Both, body: Any, escaped: bool, is_checked: bool) -> None:
    both.engine.body = json.dumps(body, ensure_ascii=escaped).encode()
    if is_checked:
        both.engine.lines = (f"x-amz-crc32: {zlib.crc32(both.engine.body)}",)

    await check_same(both)


CODES = [
    "AccessDeniedException",
    "ConditionalCheckFailedException",
    "ExpiredTokenException",
    "InternalServerError",
    "InvalidSignatureException",
    "ItemCollectionSizeLimitExceededException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "ThrottlingException",
    "TransactionConflictException",
    "UnrecognizedClientException",
    "ValidationException",
    "NobodyKnowsException",
]
FORMS: dict[str, Callable[[str], dict[str, Any]]] = {
    "in full": lambda code: {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "why ä"},
    "in short": lambda code: {"__type": code, "Message": "why"},
    "with a URL": lambda code: {"__type": f"{code}:http://internal.amazon.com/", "message": "why"},
    "without a message": lambda code: {"__type": f"x#{code}"},
    "with an empty message": lambda code: {"__type": f"x#{code}", "message": None},
    "about the size": lambda code: {"__type": f"x#{code}", "message": "Item size has exceeded the maximum"},
    "with an item": lambda code: {"__type": f"x#{code}", "message": "why", "Item": JSON_ITEM},
    "with an empty item": lambda code: {"__type": f"x#{code}", "message": "why", "Item": {}},
    "with no item": lambda code: {"__type": f"x#{code}", "message": "why", "Item": None},
    "with a URL and an item": lambda code: {"__type": f"{code}:http://x/", "message": "why", "Item": JSON_ITEM},
    "with an item and an empty message": lambda code: {"__type": f"x#{code}", "message": None, "Item": JSON_ITEM},
}


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
async def test_refusal_means_the_same_to_both(both: Both, form: Callable[[str], dict[str, Any]], status: int) -> None:
    both.engine.status = status
    both.engine.lines = ("x-amzn-RequestId: R1",)
    for code in CODES:
        both.engine.body = json.dumps(form(code)).encode()
        await check_same(both)


ODD = {
    "no code": b"{}",
    "no code, but a message": b'{"message": "why"}',
    "prose": b"Service unavailable",
    "a page": b"<html>403</html>",
    "nothing": b"",
    "not UTF-8": b'{"__type": "x#ConditionalCheckFailedException", "message": "\xff"}',
}


# DynamoDB vouches for no such content as that of the last two.
ODD_CASES = [
    *((status, body, False) for status in (200, 201, 204, 307, 400, 403, 404, 413, 500, 502) for body in ODD),
    *((status, body, True) for status in (400, 403, 500) for body in list(ODD)[:-2]),
]


@pytest.mark.parametrize(("status", "body", "is_checked"), ODD_CASES)
async def test_odd_answer_means_the_same_to_both(both: Both, status: int, body: str, is_checked: bool) -> None:
    both.engine.status, both.engine.body = status, ODD[body]
    if is_checked:
        both.engine.lines = (f"x-amz-crc32: {zlib.crc32(ODD[body])}",)

    await check_same(both)


numbers = st.integers(-(10**38), 10**38).map(str)
attributes: st.SearchStrategy[Any] = st.recursive(
    st.fixed_dictionaries({"S": st.text(st.characters(codec="utf-8"))})
    | st.fixed_dictionaries({"N": numbers})
    | st.fixed_dictionaries({"B": st.binary()})
    | st.fixed_dictionaries({"BOOL": st.booleans()})
    | st.just({"NULL": True})
    | st.fixed_dictionaries({"SS": st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=3)})
    | st.fixed_dictionaries({"NS": st.lists(numbers, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"BS": st.lists(st.binary(), min_size=1, max_size=3)}),
    lambda values: (
        st.fixed_dictionaries({"L": st.lists(values, max_size=3)})
        | st.fixed_dictionaries({"M": st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=3)})
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), attributes, max_size=4))
async def test_item_goes_and_comes_the_same_by_both(both: Both, item: dict[str, Any]) -> None:
    item |= {"partition_key": {"S": "p1"}, "sort_key": {"S": "INFO_"}}
    for table in (both.short_cut, both.standard):
        both.engine.body = b"{}"
        await table.put_item(encoded_item(item), NO_SUCH_ITEM)
        sent = json.loads(both.engine.requests[-1].body)["Item"]
        assert sent == json.loads(json.dumps({name: json.loads(bytes(v)) for name, v in encoded_item(item).items()}))
        both.engine.body = json.dumps({"Item": sent}).encode()
        assert plain(await get(table)) == item


# Clocks.


@dataclass
class Clock:
    """A DynamoDB whose clock is ahead of ours, and which refuses signatures of long ago."""

    ahead: float = 0.0
    code: str = "InvalidSignatureException"
    status: int = 400
    refuses_always: bool = False
    date: str | None = None

    def __call__(self, request: Request) -> bytes:
        now = datetime.now(UTC) + timedelta(seconds=self.ahead)
        signed_at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        date = format_datetime(now, usegmt=True) if self.date is None else self.date
        if self.refuses_always or abs(now - signed_at) > timedelta(minutes=15):
            body = json.dumps({"__type": f"com.amazon.coral.service#{self.code}", "message": "Signature expired"})
            return answer(body.encode(), f"Date: {date}", status=self.status)
        return answer(b"{}", f"Date: {date}")


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 1e8])
@pytest.mark.parametrize(
    "code", ["InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"]
)
async def test_clock_of_dynamodb_is_learnt_from_its_refusal(both: Both, ahead: float, code: str) -> None:
    clock = both.engine.answered = Clock(ahead, code=code)

    await put(both.short_cut)
    assert len(both.engine.requests) == 2
    await put(both.short_cut)
    assert len(both.engine.requests) == 3

    # Our clock was set right.
    clock.ahead = 0.0
    await put(both.short_cut)
    assert len(both.engine.requests) == 5
    await put(both.short_cut)
    assert len(both.engine.requests) == 6


@pytest.mark.parametrize(
    ("clock", "attempts"),
    [
        (Clock(3600, refuses_always=True), [2, 1, 1]),
        (Clock(0, refuses_always=True), [1, 1]),
        (Clock(3600, date="yesterday"), [1, 1]),
        (Clock(3600, date=""), [1, 1]),
        (Clock(3600, date="Mon, 01 Jan 2026 00:00:00 99999999999999999999"), [1, 1]),
        (Clock(3600, date="Fri, 31 Dec 9999 23:59:59 -0000"), [2, 1]),
    ],
    ids=["refuses always", "refuses for another reason", "no date", "empty date", "endless zone", "last date"],
)
async def test_refused_signature_is_repeated_once_at_most(both: Both, clock: Clock, attempts: list[int]) -> None:
    both.engine.answered = clock

    for number_of_attempts in attempts:
        both.engine.requests.clear()
        with pytest.raises(StorageUnavailable):
            await put(both.short_cut)
        assert len(both.engine.requests) == number_of_attempts


async def test_answer_of_the_repeated_call_is_held_against_its_checksum_too(both: Both) -> None:
    clock = Clock(3600)

    def damaged(asked: Request) -> bytes:
        told = clock(asked)
        return answer(b"{}", "x-amz-crc32: 1") if told.startswith(b"HTTP/1.1 200") else told

    both.engine.answered = damaged

    with pytest.raises(OutcomeUnknown):
        await put(both.short_cut)

    assert len(both.engine.requests) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"__type": "x#InternalServerError", "message": "InvalidSignatureException"}),
        (500, {"__type": "x#InvalidSignatureException"}),
        (
            400,
            {
                "__type": "x#ConditionalCheckFailedException",
                "message": "",
                "Item": {"playlist_name": {"S": "SignatureDoesNotMatch"}},
            },
        ),
    ],
    ids=["another error", "a status that proves nothing", "a playlist of that name"],
)
async def test_write_is_repeated_only_where_its_signature_was_refused(both: Both, status: int, body: Any) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    both.engine.status, both.engine.body = status, json.dumps(body).encode()
    both.engine.lines = (f"Date: {date}",)

    with pytest.raises((PlaylistError, ConditionFailed)):
        await put(both.short_cut)

    assert len(both.engine.requests) == 1


# Credentials.


@dataclass
class Provider:
    """What stands in a container for credentials: a new one at each request."""

    lifetime_seconds: float
    given: int = 0
    token: str = "token"

    async def __call__(self, connection: Connection) -> None:
        while True:
            await connection.request()
            self.given += 1
            # So that those who wait for it have begun to.
            await asyncio.sleep(0.02)
            credential = {
                "AccessKeyId": f"KEY{self.given}",
                "SecretAccessKey": "secret",
                "Token": self.token if self.given == 1 else f"{self.token}{self.given}",
                "Expiration": (datetime.now(UTC) + timedelta(seconds=self.lifetime_seconds)).isoformat(),
            }
            await connection.send(answer(json.dumps(credential).encode()))


@asynccontextmanager
async def table_of_a_container(server: Server, provider: Provider) -> AsyncIterator[DynamoDBTable]:
    async with serving(provider) as credentials:
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv("AWS_ACCESS_KEY_ID", raising=False)
            environment.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
            environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
            environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{credentials.url}/credentials")
            async with table_on(server.url) as table:
                yield table


async def test_credential_is_signed_with_for_a_while_and_the_next_from_then_on(
    endpoint_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(short_cut, "time", SimpleNamespace(time=time.time, monotonic=lambda: now))
    engine = Engine()
    # So near its end that it is refreshed whenever it is asked for.
    async with serving(engine) as server, table_of_a_container(server, Provider(60)) as table:
        await asyncio.gather(*(put(table) for _ in range(20)))
        now += 0.9
        await put(table)
        first = set(engine.keys)
        engine.requests.clear()
        connections = len(server.connections)
        now += 0.2
        await asyncio.gather(*(put(table) for _ in range(20)))

        assert (len(first), len(set(engine.keys))) == (1, 1)
        assert first.isdisjoint(engine.keys)
        assert {each.headers["x-amz-security-token"][-1] for each in engine.requests} == {engine.keys[0][-1]}
        assert all(engine.went_the_short_way)
        assert len(server.connections) == connections


async def test_expired_token_is_asked_for_again_at_the_next_attempt(endpoint_url: str) -> None:
    engine = Engine()
    async with serving(engine) as server, table_of_a_container(server, Provider(60)) as table:
        await put(table)
        engine.status, engine.body = 400, b'{"__type": "x#ExpiredTokenException", "message": "expired"}'
        with pytest.raises(StorageUnavailable) as refusal:
            await put(table)
        engine.status, engine.body = 200, b"{}"
        await put(table)

    assert refusal.value.passing
    assert engine.keys[0] == engine.keys[1] != engine.keys[2]


async def test_connections_are_closed_when_the_next_credential_cannot_be_signed_with(
    endpoint_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_cut, "_CREDENTIALS_KEPT_SECONDS", 0.0)
    engine = Engine()
    provider = Provider(60)
    async with serving(engine) as server, table_of_a_container(server, provider) as table:
        await put(table)
        provider.token = "two words"
        await put(table)

        assert engine.went_the_short_way == [True, False]
        await asyncio.sleep(0.05)
        assert server.open_connections == 1


async def test_write_without_credentials_is_known_not_to_be_applied(
    endpoint_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with serving(Engine()) as server, table_on(server.url) as table:
        with pytest.raises(StorageUnavailable):
            await put(table)

        assert server.connections == []


# What goes the standard way.


@pytest.mark.parametrize("call", OTHER_CALLS.values(), ids=OTHER_CALLS.keys())
async def test_other_calls_go_the_standard_way(both: Both, call: Call) -> None:
    await call(both.short_cut)

    assert both.engine.went_the_short_way == [False]


@pytest.mark.parametrize(
    "parameters",
    [
        {"ProjectionExpression": "playlist_name"},
        {"TableName": "arn:aws:dynamodb:us-east-1:123456789012:table/music_items"},
    ],
    ids=["another parameter", "an ARN"],
)
async def test_other_parameters_go_the_standard_way(both: Both, parameters: dict[str, Any]) -> None:
    await both.short_cut._client.get_item(**{"TableName": "t", "Key": {"partition_key": {"S": "p"}}, **parameters})

    assert both.engine.went_the_short_way == [False]


async def test_traced_calls_go_the_standard_way(endpoint_url: str) -> None:
    engine = Engine()
    async with serving(engine) as server, table_on(server.url, is_traced=True) as table:
        await put(table)

    assert engine.went_the_short_way == [False]


async def test_endpoint_with_a_path_is_asked_the_standard_way(endpoint_url: str) -> None:
    engine = Engine()
    async with serving(engine) as server, table_on(f"{server.url}/base") as table:
        await put(table)

    assert engine.went_the_short_way == [False]
    assert engine.requests[0].line.startswith("POST /base")


async def test_unsigned_calls_go_the_standard_way(endpoint_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    async with serving(engine) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        config = AioConfig(http_session_cls=client_module._HttpSession, signature_version=UNSIGNED)
        async with client_module._open(config, takes_short_cut=True) as client:
            await put(DynamoDBTable(client, "music_items"))

    assert engine.went_the_short_way == [False]
    assert "authorization" not in engine.requests[0].headers


@pytest.mark.parametrize("exception", ["", "service.invalid"], ids=["proxied", "excepted"])
async def test_proxy_of_the_environment_is_used(
    endpoint_url: str, exception: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Engine()
    async with serving(proxy) as server:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, server.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, exception)
        async with table_on("http://service.invalid:8000") as table:
            if exception:
                with pytest.raises(StorageUnavailable):
                    await put(table)
            else:
                await put(table)

    assert proxy.went_the_short_way == ([] if exception else [False])
    assert [each.line for each in proxy.requests] == ["POST http://service.invalid:8000/ HTTP/1.1"] * (not exception)


async def test_proxy_for_tls_is_used(endpoint_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def refuse(connection: Connection) -> None:
        asked.append((await connection.request()).line)
        await connection.send(answer(b"", status=403))

    async with serving(refuse) as server:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, server.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        async with table_on("https://service.invalid") as table:
            with pytest.raises(StorageUnavailable):
                await get(table)

    assert asked == ["CONNECT service.invalid:443 HTTP/1.1"]


# The client's life.


async def test_client_that_is_closed_closes_its_connections(endpoint_url: str) -> None:
    async with serving(Engine()) as server:
        async with table_on(server.url) as table:
            await asyncio.gather(*(put(table) for _ in range(3)))
            assert server.open_connections == 3
        await asyncio.sleep(0.05)

        assert server.open_connections == 0


async def test_connections_are_as_many_as_the_settings_allow(endpoint_url: str) -> None:
    async with serving(Engine()) as server, table_on(server.url) as table:
        await asyncio.gather(*(put(table) for _ in range(200)))

        assert len(server.connections) <= load_settings(auth="none").max_connections


async def test_silent_engine_is_waited_for_as_long_as_the_settings_say(endpoint_url: str) -> None:
    async def hang(connection: Connection) -> None:
        await connection.reader.read()
        await asyncio.sleep(60)

    async with serving(hang) as server:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
            settings = load_settings(auth="none", read_timeout_seconds=0.1)
            async with open_client(settings) as client:
                began = time.monotonic()
                with pytest.raises(StorageUnavailable):
                    await get(DynamoDBTable(client, "music_items"))

    assert 0.09 < time.monotonic() - began < 5
