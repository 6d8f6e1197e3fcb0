"""What each failure of a call means: not applied, or nobody knows."""

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.domain.errors import (
    IdempotencyKeyReused,
    ListingUnavailable,
    OutcomeUnknown,
    PlaylistTooLarge,
    StorageUnavailable,
    Throttled,
)
from app.domain.playlist import PlaylistContent
from app.settings import load_settings
from app.store.attempts import Attempts
from app.store.client import open_client
from app.store.dynamodb import ConditionFailed, DynamoDBTable, NotANumber, NoTransactions
from app.store.embedded import free_port
from app.store.items import NO_SUCH_ITEM, owned_by
from app.store.playlists import PlaylistRepository
from app.store.plays import PlayCounters
from app.store.values import decoded, encoded_item
from tests.writers import ME

WRONG_OPERAND = "An operand in the update expression has an incorrect data type"
PLAIN_ITEM = {"partition_key": {"S": "p1"}, "sort_key": {"S": "INFO_"}}
ITEM = encoded_item(PLAIN_ITEM)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["short-cut", "standard"], autouse=True)
def _client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYLISTS_CLIENT", request.param)


def answering(status: int, body: Any, checksum: int | None = None) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        head = f"HTTP/1.1 {status} X\r\nConnection: close\r\n"
        if checksum is not None:
            head += f"x-amz-crc32: {checksum}\r\n"
        writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())

    return answer


def refusing(code: str, message: str = "") -> Answer:
    return answering(400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message})


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To where nobody listens: followed, it would seem that the request was never sent."""
    writer.write(b"HTTP/1.1 307 X\r\nConnection: close\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\n\r\n{}")


async def truncate(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"Attributes"')


async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2)


@asynccontextmanager
async def table_behind(answer: Answer | None) -> AsyncIterator[DynamoDBTable]:
    """A table whose DynamoDB reads each request and then does this; None does not even listen."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            assert answer is not None
            await answer(reader, writer)
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port) if answer else None
    settings = load_settings(auth="none", read_timeout_seconds=0.5)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{port}")
        async with open_client(settings) as client:
            yield DynamoDBTable(client, "music_items")
    if server is not None:
        server.close()
        await server.wait_closed()


NOT_APPLIED: list[tuple[str, Answer | None, type[Exception]]] = [
    ("nobody listens", None, StorageUnavailable),
    ("throttled", refusing("ProvisionedThroughputExceededException"), Throttled),
    ("throttled by the account", refusing("RequestLimitExceeded"), Throttled),
    ("throttled by name", refusing("ThrottlingException"), Throttled),
    ("table missing", refusing("ResourceNotFoundException"), StorageUnavailable),
    ("access denied", refusing("AccessDeniedException"), StorageUnavailable),
    ("credentials expired", refusing("ExpiredTokenException"), StorageUnavailable),
    ("transaction in the way", refusing("TransactionConflictException"), StorageUnavailable),
]
UNKNOWN: list[tuple[str, Answer]] = [
    ("reset", reset),
    ("closed", close),
    ("truncated", truncate),
    ("silent", hang),
    ("internal error", answering(500, {"__type": "x#InternalServerError"})),
    ("unavailable", answering(503, "<html>")),
    ("redirected", redirect),
    ("not JSON", answering(200, "{")),
    ("no content", answering(204, "")),
    ("accepted", answering(202, "{}")),
    ("an array", answering(200, "[]")),
    ("null", answering(200, "null")),
    ("an array as refusal", answering(400, "[]")),
    ("a proxy's refusal", answering(403, "<html>")),
    ("a null item", answering(200, '{"Item": null}')),
    ("damaged", answering(200, "{}", checksum=1)),
    ("damaged refusal", answering(400, {"__type": "x#ConditionalCheckFailedException"}, checksum=1)),
]


@pytest.mark.parametrize(("answer", "error"), [case[1:] for case in NOT_APPLIED], ids=[case[0] for case in NOT_APPLIED])
async def test_write_that_was_refused_is_known_not_to_be_applied(
    endpoint_url: str, answer: Answer | None, error: type[Exception]
) -> None:
    async with table_behind(answer) as table:
        with pytest.raises(error):
            await table.put_item(ITEM, NO_SUCH_ITEM)
        with pytest.raises(error):
            await table.delete_item("p1", "INFO_", NO_SUCH_ITEM)


@pytest.mark.parametrize("answer", [case[1] for case in UNKNOWN], ids=[case[0] for case in UNKNOWN])
async def test_write_whose_answer_was_lost_has_an_unknown_outcome_and_a_read_has_none(
    endpoint_url: str, answer: Answer
) -> None:
    async with table_behind(answer) as table:
        with pytest.raises(OutcomeUnknown):
            await table.put_item(ITEM, NO_SUCH_ITEM)
        with pytest.raises(OutcomeUnknown):
            await table.delete_item("p1", "INFO_", NO_SUCH_ITEM)
        with pytest.raises(StorageUnavailable):
            await table.get_item("p1", "INFO_")


IMPOSSIBLE_ITEMS: dict[str, Any] = {
    "a list": [PLAIN_ITEM],
    "a string": "x",
    "no key": {"playlist_name": {"S": "Mine"}},
    "a number as key": {**PLAIN_ITEM, "partition_key": {"N": "1"}},
    "a number as S": {**PLAIN_ITEM, "playlist_name": {"S": 5}},
    "a number as N": {**PLAIN_ITEM, "playlist_version": {"N": 5}},
    "an unknown type": {**PLAIN_ITEM, "playlist_version": {"Q": "1"}},
    "no type": {**PLAIN_ITEM, "playlist_version": {}},
    "two types": {**PLAIN_ITEM, "playlist_version": {"S": "1", "N": "1"}},
    "a bare value": {**PLAIN_ITEM, "playlist_version": 1},
    "a string as L": {**PLAIN_ITEM, "track_tokens": {"L": "A/1"}},
    "a bare element": {**PLAIN_ITEM, "track_tokens": {"L": [{"S": "A/1"}, "A/2"]}},
    "a list as M": {**PLAIN_ITEM, "track_tokens": {"M": []}},
    "a number in a set": {**PLAIN_ITEM, "track_tokens": {"SS": [1]}},
    "a null that is false": {**PLAIN_ITEM, "playlist_name": {"NULL": "x"}},
    "digits that are none": {**PLAIN_ITEM, "playlist_version": {"N": "abc"}},
    "no number": {**PLAIN_ITEM, "playlist_version": {"N": "NaN"}},
    "infinity": {**PLAIN_ITEM, "playlist_version": {"N": "Infinity"}},
    "thousands of digits": {**PLAIN_ITEM, "playlist_version": {"N": "9" * 5_000}},
    "a space before a number": {**PLAIN_ITEM, "playlist_version": {"N": " 3"}},
    "an underscore in a number": {**PLAIN_ITEM, "playlist_version": {"N": "1_0"}},
}
each_impossible_item = pytest.mark.parametrize("item", IMPOSSIBLE_ITEMS.values(), ids=IMPOSSIBLE_ITEMS)


@each_impossible_item
@pytest.mark.parametrize("has_checksum", [False, True])
async def test_item_that_dynamodb_cannot_have_written_is_no_answer_to_a_read(
    endpoint_url: str, item: Any, has_checksum: bool
) -> None:
    body = json.dumps({"Item": item}, separators=(",", ":"))
    checksum = zlib.crc32(body.encode()) if has_checksum else None

    async with table_behind(answering(200, body, checksum)) as table:
        playlists = PlaylistRepository(table, Attempts(load_settings(auth="none", max_attempts=1)))
        with pytest.raises(StorageUnavailable):
            await playlists.get("p1")


async def test_error_for_an_impossible_item_has_nothing_of_the_item_for_the_log(endpoint_url: str) -> None:
    item = {**PLAIN_ITEM, "playlist_name": {"Q": "A private name"}}

    async with table_behind(answering(200, {"Item": item})) as table:
        playlists = PlaylistRepository(table, Attempts(load_settings(auth="none", max_attempts=1)))
        with pytest.raises(StorageUnavailable) as failure:
            await playlists.get("p1")

    assert "private" not in failure.value.cause


@each_impossible_item
async def test_failed_condition_with_an_item_that_dynamodb_cannot_have_written_is_no_conflict(
    endpoint_url: str, item: Any
) -> None:
    body = {"__type": "x#ConditionalCheckFailedException", "message": "", "Item": item}

    async with table_behind(answering(400, body)) as table:
        playlists = PlaylistRepository(table, Attempts(load_settings(auth="none", max_attempts=1)))
        with pytest.raises((StorageUnavailable, OutcomeUnknown)):
            await playlists.create("p1", PlaylistContent("Mine"), caller=ME)


@pytest.mark.parametrize("count", ["many", "NaN", "Infinity", "9" * 5_000])
async def test_count_that_dynamodb_cannot_have_written_is_no_answer_to_a_read(endpoint_url: str, count: str) -> None:
    async with table_behind(answering(200, {"Item": {**PLAIN_ITEM, "play_count": {"N": count}}})) as table:
        counters = PlayCounters(table, Attempts(load_settings(auth="none", max_attempts=1)))
        with pytest.raises(StorageUnavailable):
            await counters.get("p1")


def cancelled(*reasons: str) -> Answer:
    body = {
        "__type": "x#TransactionCanceledException",
        "CancellationReasons": [{"Code": reason, "Message": ""} for reason in reasons],
    }
    return answering(400, body)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (cancelled("None", "ConditionalCheckFailed"), ConditionFailed),
        (cancelled("TransactionConflict"), StorageUnavailable),
        (cancelled("ThrottlingError"), Throttled),
        (cancelled("ProvisionedThroughputExceeded"), Throttled),
        (cancelled("ValidationError"), NotANumber),
        (refusing("IdempotentParameterMismatchException"), IdempotencyKeyReused),
        (refusing("ValidationException", "Transactions are not supported"), NoTransactions),
        (refusing("ValidationException", WRONG_OPERAND), NotANumber),
        (refusing("TransactionInProgressException"), StorageUnavailable),
        (refusing("ProvisionedThroughputExceededException"), Throttled),
        (answering(500, {"__type": "x#InternalServerError"}), OutcomeUnknown),
        (reset, OutcomeUnknown),
    ],
)
async def test_failed_transaction_is_told_by_its_reason(
    endpoint_url: str, answer: Answer, error: type[Exception]
) -> None:
    async with table_behind(answer) as table:
        with pytest.raises(error):
            await table.increment_once("p1", "PLAYS_", "play_count", once=b"k1")


async def test_addition_to_what_is_no_number_is_told(endpoint_url: str) -> None:
    async with table_behind(refusing("ValidationException", WRONG_OPERAND)) as table:
        with pytest.raises(NotANumber):
            await table.increment("p1", "PLAYS_", "play_count")


async def test_dynamodbs_own_refusal_of_the_size_is_too_large(endpoint_url: str) -> None:
    answer = refusing("ValidationException", "Item size has exceeded the maximum allowed size")

    async with table_behind(answer) as table:
        with pytest.raises(PlaylistTooLarge):
            await table.put_item(ITEM, NO_SUCH_ITEM)


async def test_failed_condition_carries_the_item_in_the_way(endpoint_url: str) -> None:
    body = {"__type": "x#ConditionalCheckFailedException", "message": "", "Item": PLAIN_ITEM}

    async with table_behind(answering(400, body)) as table:
        with pytest.raises(ConditionFailed) as failure:
            await table.put_item(ITEM, NO_SUCH_ITEM)

    assert failure.value.item is not None
    assert decoded(failure.value.item["partition_key"]) == {"S": "p1"}


async def test_answer_with_the_right_checksum_is_taken(endpoint_url: str) -> None:
    body = json.dumps({"Item": PLAIN_ITEM}, separators=(",", ":"))

    async with table_behind(answering(200, body, checksum=zlib.crc32(body.encode()))) as table:
        assert await table.get_item("p1", "INFO_") == ITEM


async def query(table: DynamoDBTable) -> Any:
    return await table.query_index("an_index", owned_by("me"), limit=1, after=None)


@pytest.mark.parametrize(("answer", "error"), [case[1:] for case in NOT_APPLIED], ids=[case[0] for case in NOT_APPLIED])
async def test_refused_query_is_told_as_a_refused_read(
    endpoint_url: str, answer: Answer | None, error: type[Exception]
) -> None:
    async with table_behind(answer) as table:
        with pytest.raises(error):
            await query(table)


@pytest.mark.parametrize(
    "message",
    [
        "The table does not have the specified index: an_index",
        "Cannot read from backfilling global secondary index: an_index",
    ],
)
async def test_query_of_an_index_that_is_not_there_or_not_ready_says_so(endpoint_url: str, message: str) -> None:
    async with table_behind(refusing("ValidationException", message)) as table:
        with pytest.raises(ListingUnavailable):
            await query(table)


async def test_query_that_is_wrong_itself_is_a_bug_of_ours(endpoint_url: str) -> None:
    async with table_behind(refusing("ValidationException", "The provided starting key is invalid")) as table:
        with pytest.raises(ClientError):
            await query(table)


@pytest.mark.parametrize("body", [{}, {"Items": [], "LastEvaluatedKey": {}}, {"Items": None, "LastEvaluatedKey": None}])
async def test_query_without_anything_left_has_no_key_to_go_on_after(endpoint_url: str, body: Any) -> None:
    async with table_behind(answering(200, body)) as table:
        assert await query(table) == ([], None)


async def test_sdk_makes_one_attempt(endpoint_url: str) -> None:
    attempts = 0

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await refusing("ProvisionedThroughputExceededException")(_, writer)

    async with table_behind(count) as table:
        with pytest.raises(Throttled):
            await table.put_item(ITEM, NO_SUCH_ITEM)

    assert attempts == 1
