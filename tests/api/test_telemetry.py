import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from app.domain.errors import OutcomeUnknown
from app.store.items import Condition
from app.store.values import Item
from tests.conftest import Interruptions
from tests.test_metrics import sum_of
from tests.writers import OtherProgram

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

NAME, TOKEN, KEY = "Secret Name", "secret-token", "secret-key"
TEMPLATE = "/playlists/{playlist_token}"


async def counted(http: httpx2.AsyncClient, name: str, **labels: str) -> float:
    """What /metrics says of one series; 0 where it has none."""
    return sum_of((await http.get("/metrics")).text, name, **labels)


async def create(http: httpx2.AsyncClient, path: str = "/playlists/p1") -> None:
    await http.put(path, json={"playlist_name": NAME, "track_tokens": ["a/b"]})


class Lines(logging.Handler):
    """A handler that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def access_lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    log, lines = logging.getLogger("app.access"), Lines()
    log.addHandler(lines)
    with caplog.at_level(logging.INFO, logger="app.access"):
        yield lines.records
    log.removeHandler(lines)


async def test_requests_are_counted_by_the_template_of_their_route(http: httpx2.AsyncClient) -> None:
    await create(http)
    await create(http, "/playlists/p2")
    await http.get("/playlists/p1")
    await http.get("/playlists/p2")
    await http.get("/playlists/p3")

    read = {"method": "GET", "route": TEMPLATE}
    assert await counted(http, "playlists_http_requests_total", **read, status="200") == 2
    assert await counted(http, "playlists_http_requests_total", **read, status="404") == 1
    assert await counted(http, "playlists_http_request_duration_seconds_count", **read) == 3
    assert "p1" not in (await http.get("/metrics")).text


async def test_what_clients_make_up_makes_no_series_of_its_own(http: httpx2.AsyncClient) -> None:
    for number in range(5):
        await http.get(f"/nothing/{number}")
        await http.request(f"BREW{number}", "/livez")

    assert await counted(http, "playlists_http_requests_total", route="unrouted", status="404") == 5
    assert await counted(http, "playlists_http_requests_total", method="other", status="501") == 5


async def test_the_request_for_the_metrics_is_the_only_one_in_flight(http: httpx2.AsyncClient) -> None:
    await create(http)

    assert await counted(http, "playlists_http_requests_in_flight") == 1


async def test_conflicts_are_counted_by_their_code(http: httpx2.AsyncClient) -> None:
    await create(http)
    await http.patch("/playlists/p1", json={"playlist_name": "Mine", "playlist_version": 7})
    await http.patch("/playlists/p1", json={"playlist_name": "Mine"}, headers={"If-Match": '"7"'})

    assert await counted(http, "playlists_problems_total", code="version-conflict") == 1
    assert await counted(http, "playlists_problems_total", code="precondition-failed") == 1
    assert await counted(http, "playlists_problems_total") == 2


async def test_replays_are_counted(http: httpx2.AsyncClient) -> None:
    await create(http)
    for _ in range(3):
        await http.patch("/playlists/p1", json={"playlist_name": "Mine"}, headers={"Idempotency-Key": KEY})

    assert await counted(http, "playlists_replays_total") == 2


async def test_appends_made_anew_are_counted(
    http: httpx2.AsyncClient, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    await create(http)
    interruptions.before_write = lambda: other_program.rename_in_place("p1", "Theirs")
    await http.post("/playlists/p1/tracks", json={"track_tokens": ["c/d"]})

    assert await counted(http, "playlists_appends_rebased_total") == 1
    assert await counted(http, "playlists_dynamodb_calls_total", operation="PutItem", outcome="condition-failed") == 1


async def test_own_writes_that_are_recovered_are_counted(
    http: httpx2.AsyncClient, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(http)
    put_item = interruptions.put_item

    async def put_and_lose_the_answer(item: Item, condition: Condition) -> None:
        monkeypatch.undo()
        await put_item(item, condition)
        raise OutcomeUnknown("lost by the test")

    monkeypatch.setattr(interruptions, "put_item", put_and_lose_the_answer)
    answer = await http.patch("/playlists/p1", json={"playlist_name": "Mine"})

    assert answer.status_code == 200
    assert await counted(http, "playlists_own_writes_recovered_total") == 1


async def test_calls_and_the_capacity_that_the_engine_states_are_counted(
    http: httpx2.AsyncClient, client: "DynamoDBClient", table_name: str
) -> None:
    tracks = [f"ALBUM_{number:04}/TRACK_{number:04}" for number in range(1_000)]
    await http.put("/playlists/p1", json={"playlist_name": "Large", "track_tokens": tracks})
    key: Any = {"partition_key": {"S": "p1"}, "sort_key": {"S": "INFO_"}}
    read = await client.get_item(TableName=table_name, Key=key, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
    stated = read["ConsumedCapacity"]["CapacityUnits"]

    async def figures() -> list[float]:
        return [
            await counted(http, "playlists_dynamodb_calls_total", operation="GetItem", outcome="ok"),
            await counted(http, "playlists_dynamodb_call_duration_seconds_count", operation="GetItem"),
            await counted(http, "playlists_dynamodb_capacity_units_total", operation="GetItem"),
        ]

    before = await figures()
    await http.get("/playlists/p1")

    assert stated > 0
    assert [after - less for after, less in zip(await figures(), before, strict=True)] == [1, 1, stated]
    assert await counted(http, "playlists_dynamodb_capacity_units_total", operation="PutItem") > 0


async def test_an_unforeseen_error_is_counted_and_told_as_a_500(
    http: httpx2.AsyncClient, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch, access_lines: list[Any]
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(interruptions, "get_item", fail)
    await http.get("/playlists/p1")

    [line] = access_lines
    assert (line.status, line.problem) == (500, "internal-error")
    assert await counted(http, "playlists_http_requests_total", route=TEMPLATE, status="500") == 1
    assert await counted(http, "playlists_problems_total", code="internal-error") == 1


async def test_a_request_is_one_line_that_tells_what_it_was_and_cost(
    http: httpx2.AsyncClient, access_lines: list[Any]
) -> None:
    await create(http)
    access_lines.clear()
    body = {"playlist_name": "Too late", "playlist_version": 7}
    await http.patch("/playlists/p1", json=body, headers={"X-Request-ID": "r1"})

    [line] = access_lines
    assert (line.request_id, line.method, line.route) == ("r1", "PATCH", TEMPLATE)
    assert (line.status, line.problem, line.replayed) == (409, "version-conflict", False)
    assert line.dynamodb_calls == 1
    assert line.dynamodb_capacity_units > 0
    assert line.duration_ms > 0
    assert line.getMessage().startswith(f"PATCH {TEMPLATE} 409")


async def test_a_replay_is_told_as_one(http: httpx2.AsyncClient, access_lines: list[Any]) -> None:
    await create(http)
    for _ in range(2):
        await http.patch("/playlists/p1", json={"playlist_name": "Mine"}, headers={"Idempotency-Key": KEY})

    assert [line.replayed for line in access_lines] == [False, False, True]


async def test_probes_and_scrapes_that_succeed_are_not_told(http: httpx2.AsyncClient, access_lines: list[Any]) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        await http.get(path)
    await http.get("/problems/throttled")

    assert [line.route for line in access_lines] == ["/problems/{code}"]


async def test_no_line_has_a_name_a_token_or_a_key(http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await create(http, f"/playlists/{TOKEN}")
        for body in ({"playlist_name": NAME + " 2"}, {"playlist_name": ""}, {"playlist_version": 9}, {NAME: KEY}):
            headers = {"Idempotency-Key": KEY, "Authorization": f"Bearer {TOKEN}", "If-Match": f'"{KEY}"'}
            await http.patch(f"/playlists/{TOKEN}", json=body, headers=headers)
        await http.get(f"/nothing/{TOKEN}?{KEY}")
        await http.get(f"/playlists?cursor={KEY}")

    lines = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name.startswith("app")]
    assert len(lines) == 7
    assert not [line for line in lines if any(secret in line for secret in (NAME, TOKEN, KEY))]
