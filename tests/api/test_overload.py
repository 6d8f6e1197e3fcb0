"""Too many requests at once, and bodies that do not come."""

import asyncio
import gc
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.api.service import Service
from app.api.telemetry import Telemetry
from app.connection import Connection
from app.domain.errors import PlaylistNotFound
from app.drain import Drain
from app.main import create_app
from app.settings import Settings, load_settings
from app.store.dynamodb import DynamoDBTable
from app.store.playlists import PlaylistRepository
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.test_connection import Impatient, Served, serving, status_of
from tests.test_metrics import sum_of

LIMIT = 3
GET = b"GET /playlists/p1 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def settings(table_name: str) -> Settings:
    return load_settings(table_name=table_name, max_requests_in_flight=LIMIT, body_timeout_seconds=0.3)


@pytest.fixture
async def fill(
    http: httpx2.AsyncClient, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Puts as many requests in flight as the service takes; they end after the test."""
    may_end, reached, slow = asyncio.Event(), 0, list[asyncio.Task[httpx2.Response]]()
    get_item = interruptions.get_item

    async def wait(partition_key: str, sort_key: str) -> Any:
        nonlocal reached
        if partition_key.startswith("slow"):
            reached += 1
            await may_end.wait()
        return await get_item(partition_key, sort_key)

    async def fill() -> None:
        slow.extend(asyncio.create_task(http.get(f"/playlists/slow{number}")) for number in range(LIMIT))
        while reached < LIMIT:  # noqa: ASYNC110 (a counter is no event)
            await asyncio.sleep(0)

    monkeypatch.setattr(interruptions, "get_item", wait)
    yield fill
    may_end.set()
    assert [(await request).status_code for request in slow] == [404] * LIMIT


@pytest.fixture
async def full(fill: Callable[[], Awaitable[None]]) -> None:
    await fill()


@pytest.mark.usefixtures("full")
async def test_request_over_the_limit_is_refused(http: httpx2.AsyncClient) -> None:
    for response in (await http.get("/playlists/p1"), await http.put("/playlists/p1", json=MINE)):
        assert code_of(response) == (503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert response.headers["x-request-id"] == response.json()["request_id"]
        assert "connection" not in response.headers


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_operators_are_answered_whatever_the_load(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 200


async def test_requests_are_served_again_once_there_is_a_place(
    http: httpx2.AsyncClient, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as failing:
        failing.setattr(interruptions, "get_item", fail)
        answers = [await http.get("/playlists/p1") for _ in range(2 * LIMIT)]

    assert {answer.status_code for answer in answers} == {500}
    assert (await http.get("/playlists/p1")).status_code == 404


async def test_request_whose_body_comes_when_there_is_no_place_is_refused(
    http: httpx2.AsyncClient, fill: Callable[[], Awaitable[None]], playlists: PlaylistRepository
) -> None:
    is_asked_for, may_come = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        is_asked_for.set()
        await may_come.wait()
        yield json.dumps(MINE).encode()

    put = asyncio.create_task(http.put("/playlists/p1", content=body(), headers={"Content-Type": "application/json"}))
    await is_asked_for.wait()
    await fill()

    may_come.set()

    assert code_of(await put) == (503, "overloaded")
    with pytest.raises(PlaylistNotFound):
        await playlists.get("p1")


class TestBodies:
    @pytest.fixture
    async def served(self, settings: Settings) -> AsyncIterator[Served]:
        async with serving(create_app(settings)) as served:
            yield served

    async def test_client_that_is_slow_with_its_body_takes_no_place(self, served: Served) -> None:
        head = b"PUT /playlists/p1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        slow = [await served.open(head) for _ in range(2 * LIMIT)]
        await asyncio.sleep(0.1)

        reader, writer = await served.open(GET)
        answer = await reader.readuntil(b"\r\n\r\n")
        late = [await reader.read() for reader, _ in slow]

        assert status_of(answer) == 404
        assert {status_of(answer) for answer in late} == {408}
        for _, opened in [*slow, (reader, writer)]:
            opened.close()

    async def test_body_that_takes_too_long_is_refused_and_ends_the_connection(self, served: Served) -> None:
        head = b"PUT /playlists/p1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"

        [answer] = await served.answers(head, *[b"{" for _ in range(20)])

        assert status_of(answer) == 408
        assert b'"code":"request-timeout"' in answer
        assert b"connection: close" in answer


class TestAtOnce:
    """Over sockets, where a request is refused before the service is called for it."""

    @pytest.fixture
    async def full(self, table_name: str) -> AsyncIterator[Served]:
        # A setting has to be 1 at least.
        settings = load_settings(table_name=table_name).model_copy(update={"max_requests_in_flight": 0})
        async with serving(create_app(settings)) as served:
            yield served

    async def test_refusal_is_a_problem_that_is_counted_and_told(
        self, full: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called: list[str] = []
        call = Service.__call__

        async def noted(self: Service, scope: Any, *channels: Any) -> None:
            called.append(scope["path"])
            await call(self, scope, *channels)

        monkeypatch.setattr(Service, "__call__", noted)
        with caplog.at_level(logging.INFO, logger="app.access"):
            get, head, metrics = await full.answers(
                b"GET /playlists/p1 HTTP/1.1\r\nHost: x\r\nX-Request-ID: r1\r\n\r\n",
                b"HEAD /playlists/p1 HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            )

        assert called == ["/metrics"]
        for answer in (get, head):
            assert status_of(answer) == 503
            assert b"retry-after: 1\r\n" in answer
            assert b"content-type: application/problem+json\r\n" in answer
            assert b"connection:" not in answer
        assert b"x-request-id: r1\r\n" in get
        told = json.loads(get.partition(b"\r\n\r\n")[2])
        assert (told["code"], told["instance"], told["request_id"]) == ("overloaded", "/playlists/p1", "r1")
        assert head.endswith(b"\r\n\r\n")
        lines: list[Any] = [record for record in caplog.records if record.name == "app.access"]
        assert [(line.method, line.status, line.problem) for line in lines] == [
            ("GET", 503, "overloaded"),
            ("HEAD", 503, "overloaded"),
        ]
        exposition = metrics.partition(b"\r\n\r\n")[2].decode()
        assert sum_of(exposition, "playlists_problems_total", code="overloaded") == 2
        assert sum_of(exposition, "playlists_http_requests_total", status="503") == 2
        assert sum_of(exposition, "playlists_http_requests_in_flight") == 1

    async def test_connection_may_rest_after_a_refusal_as_long_as_after_any_answer(self, full: Served) -> None:
        reader, writer = await full.open(GET)
        first = await reader.readuntil(b"}")
        await asyncio.sleep(2 * Impatient.head_seconds)
        writer.write(GET)
        second = await reader.readuntil(b"}")
        async with asyncio.timeout(10):
            rest = await reader.read()
        writer.close()

        assert [status_of(first), status_of(second), rest] == [503, 503, b""]

    async def test_body_of_a_refused_request_is_not_taken_for_a_request(self, full: Served) -> None:
        hidden = b"DELETE /playlists/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)

        head = b"PUT /playlists/p1 HTTP/1.1\r\nHost: x\r\n"
        answers = await full.answers(
            head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden,
            head + b"Content-Length: %d\r\n\r\n" % len(hidden),
            hidden + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked[:30],
            chunked[30:] + head + b"Content-Length: 0\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        )

        assert [status_of(answer) for answer in answers] == [503, 503, 200, 503, 503, 200]

    async def test_head_that_begins_right_after_a_refused_request_has_to_end_in_time(self, full: Served) -> None:
        refused, late = await full.answers(b"GET /playlists/p1 HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHo")

        assert [status_of(refused), status_of(late)] == [503, 408]

    async def test_requests_of_a_pipeline_are_refused_in_their_order(self, full: Served) -> None:
        request = "GET {} HTTP/1.1\r\nHost: x\r\nX-Request-ID: r{}\r\n\r\n"
        paths = ["/playlists/p1", "/livez"] * 10

        answers = await full.answers("".join(map(request.format, paths, range(len(paths)))).encode())

        assert [status_of(answer) for answer in answers] == [503, 200] * 10
        identifiers = [answer.partition(b"x-request-id: ")[2].partition(b"\r\n")[0] for answer in answers]
        assert identifiers == [b"r%d" % number for number in range(len(paths))]

    async def test_pipeline_without_an_end_is_cut_off_as_where_its_requests_are_served(self, full: Served) -> None:
        answers = await full.answers(GET * 1_000)

        assert {status_of(answer) for answer in answers} == {503}
        assert Connection.pipeline_limit <= len(answers) <= Connection.pipeline_limit + 2

    async def test_client_that_expects_to_be_asked_for_its_body_is_refused_and_its_connection_closed(
        self, full: Served
    ) -> None:
        head = b"PUT /playlists/p1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

        [answer] = await full.answers(head, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")

        assert status_of(answer) == 503
        assert b"connection: close\r\n" in answer

    async def test_client_that_reads_nothing_is_not_answered_without_end(
        self, full: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent, message = 0, Connection._message

        def counted(self: Connection, *arguments: Any) -> bytes:
            nonlocal sent
            answer = message(self, *arguments)
            sent += len(answer)
            return answer

        monkeypatch.setattr(Connection, "_message", counted)
        monkeypatch.setattr(Impatient, "unread_seconds", 30.0)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        loop, request = asyncio.get_running_loop(), GET
        await loop.sock_connect(client, full.address)
        answered = -1
        while answered < sent < 2**24:
            answered = sent
            await loop.sock_sendall(client, request)
            for _ in range(1_000):
                if sent > answered:
                    break
                await asyncio.sleep(0)
        client.close()

        # What the kernel has room for, and 64 KiB.
        assert 2**16 < sent < 2**23

    async def test_refusal_leaves_nothing_to_the_garbage_collector(self, full: Served) -> None:
        gc.collect()
        gc.disable()
        try:
            reader, writer = await full.open(GET)
            answer = await reader.readuntil(b"}")
            writer.close()
            while full.server.server_state.connections:  # noqa: ASYNC110 (uvicorn has no event for it)
                await asyncio.sleep(0.01)
            alive = [living for living in gc.get_objects() if isinstance(living, RequestResponseCycle)]
        finally:
            gc.enable()

        assert status_of(answer) == 503
        assert alive == []

    async def test_refusal_that_fails_ends_the_connection_and_is_logged(
        self, full: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Telemetry, "end", fail)
        answers = await full.answers(GET)

        assert answers == []
        assert "ZeroDivisionError" in caplog.text

    async def test_pipeline_is_served_to_its_end_where_the_drain_begins_in_it(
        self, table_name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drain = Drain()
        get = DynamoDBTable.get_item

        async def get_and_drain(self: DynamoDBTable, *key: str) -> Any:
            await asyncio.sleep(0.05)
            drain.begin()
            return await get(self, *key)

        monkeypatch.setattr(DynamoDBTable, "get_item", get_and_drain)
        async with serving(create_app(load_settings(table_name=table_name), drain=drain)) as served:
            answers = await served.answers(GET * 3)

        assert [status_of(answer) for answer in answers] == [404, 404, 404]

    async def test_place_is_given_back_however_a_request_ends(self, table_name: str) -> None:
        put = b"PUT" + GET[3:-2] + b"Content-Length: 2\r\n\r\n{]"
        async with serving(create_app(load_settings(table_name=table_name, max_requests_in_flight=1))) as served:
            ended = [await served.answers(sent) for sent in (GET, GET.replace(b"GET", b"OPTIONS"), put)]
            assert [[status_of(answer) for answer in answers] for answers in ended] == [[404], [204], [415]]
            for _ in range(20):
                _, writer = await served.open(GET)
                await asyncio.sleep(0)
                writer.transport.abort()

            async with asyncio.timeout(10):
                while status_of((await served.answers(GET))[0]) != 404:
                    pass

    async def test_place_is_given_back_where_a_request_cannot_be_counted(
        self, table_name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Telemetry) -> None:
            raise ZeroDivisionError

        async with serving(create_app(load_settings(table_name=table_name, max_requests_in_flight=1))) as served:
            with monkeypatch.context() as failing:
                failing.setattr(Telemetry, "begin", fail)
                [failed] = await served.answers(GET)
            [answer] = await served.answers(GET)

        assert [status_of(failed), status_of(answer)] == [500, 404]
