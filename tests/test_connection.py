"""What clients may send, withhold and leave unread, over real sockets."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.api.bodies import CONTENT, read_content
from app.api.problems import RequestRefused
from app.api.schemas import BODY_LIMIT
from app.connection import Connection
from app.drain import Drain
from app.main import create_app
from app.server import Server, configuration
from app.settings import load_settings
from app.store.time_limits import Timer
from tests.test_contract import DOCUMENT

SECOND = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Impatient(Connection):
    head_seconds = unread_seconds = 0.3
    linger_seconds = watch_seconds = 0.1
    last_request_seconds = 0.5


class Patient(Connection):
    last_request_seconds = 0.1
    linger_seconds = 30.0


class Recorder:
    """An application that reads each request to its end, answers with its body, and keeps what it has seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.drain = Drain()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.disconnected = 0
        self.answer = b""

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["drain"] = self.drain
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.seen.append(f"{scope['method']} {scope['path']}")
        body, more = b"", scope["path"] != "/unread"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected += 1
                body = b"broken"
                break
            body += message["body"]
            more = message["more_body"]
        await self.may_answer.wait()
        self.headers = scope["headers"]
        body = self.answer or body
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})


class Echo:
    """Answers each request with its content, read as the service reads it, and knows which had to be waited for."""

    def __init__(self) -> None:
        self.waited_for: list[bytes] = []

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            scope["state"] |= {"body_timeout_seconds": 5.0, "body_timer": Timer()}
            await Recorder()(scope, receive, send)
            return
        has_come = CONTENT in scope
        try:
            content = await read_content(Request(scope, receive))
        except RequestRefused as refusal:
            content = refusal.code.encode()
        if not has_come:
            self.waited_for.append(content)
        await Response(content)(scope, receive, send)


class Client(asyncio.Protocol):
    """Keeps what it receives, also where the connection then breaks."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()


class Served:
    def __init__(self, server: Server) -> None:
        self.server = server
        [listener] = server.servers[0].sockets
        self.address = listener.getsockname()

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(sent)
        return reader, writer

    async def answers(self, *parts: bytes) -> list[bytes]:
        """What comes back until the server closes, answer by answer; the parts are sent one by one."""
        transport, client = await asyncio.get_running_loop().create_connection(Client, *self.address)
        for part in parts:
            transport.write(part)
            await asyncio.sleep(0.02)
        async with asyncio.timeout(10):
            await client.ended.wait()
        return [b"HTTP/1.1 " + answer for answer in client.received.split(b"HTTP/1.1 ")[1:]]


@asynccontextmanager
async def serving(app: Any, connection: type[Connection] = Impatient) -> AsyncIterator[Served]:
    config = configuration(lambda: app, load_settings(auth="none"), host="127.0.0.1", port=0)
    config.http = connection
    config.timeout_keep_alive = 1
    server = Server(config)
    run = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    try:
        yield Served(server)
    finally:
        server.should_exit = True
        await run


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def served(recorder: Recorder) -> AsyncIterator[Served]:
    async with serving(recorder) as served:
        yield served


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    problem: dict[str, Any] = json.loads(content)
    assert f"x-request-id: {problem['request_id']}".encode() in head
    assert set(DOCUMENT["components"]["schemas"]["Problem"]["required"]) <= set(problem)
    return problem


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="Content-Length with Transfer-Encoding",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            id="two Content-Lengths that differ",
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\nhello!", id="list as Content-Length"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello", id="negative Content-Length"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", id="Content-Length with plus"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello", id="hexadecimal Content-Length"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e1\r\n\r\nhello", id="Content-Length with exponent"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", id="huge Content-Length"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", id="empty Content-Length"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello", id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n", id="folded header"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\nX-B: b\r\n\r\n", id="bare LF in a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n", id="bare CR in a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n", id="NUL in a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x1bb\r\n\r\n", id="escape in a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", id="header without a name"),
        pytest.param(b"GET /\x1b HTTP/1.1\r\nHost: x\r\n\r\n", id="escape in the target"),
        pytest.param(b"GET /?\xff HTTP/1.1\r\nHost: x\r\n\r\n", id="non-ASCII in the target"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            id="chunked is not the last coding",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="unknown transfer coding"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            id="vertical tab before chunked",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            id="two Transfer-Encodings",
        ),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two Hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b/\r\n\r\n", id="Host with a space"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", id="Host with a path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", id="Host with a user"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n", id="Host with a port that is not a number"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", id="Host with half a bracket"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: [zz]\r\n\r\n", id="Host with another thing in brackets"),
        pytest.param(b"hello\r\nFOO / HTTP/1.1\r\nHost: x\r\n\r\n", id="a line before the request line"),
        pytest.param(b"hello\r\nworld", id="lines that are no request"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", id="list as Host"),
        pytest.param(b"GE\x00T / HTTP/1.1\r\nHost: x\r\n\r\n", id="method that is not a token"),
        pytest.param(b"GET\r\n\r\n", id="no request line"),
        pytest.param(b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n", id="CONNECT"),
        pytest.param(b"GET http://evil HTTP/1.1\r\nHost: x\r\n\r\n", id="target without a path"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
    ],
)
async def test_ambiguous_request_is_refused_and_nothing_after_it_is_served(
    served: Served, recorder: Recorder, sent: bytes
) -> None:
    [answer] = await served.answers(sent + SECOND)

    assert status_of(answer) == 400
    assert problem_of(answer)["code"] == "malformed-request"
    assert b"connection: close" in answer
    assert "GET /second" not in recorder.seen


@pytest.mark.parametrize(
    "host",
    [b"", b"a", b"a ", b"a\t", b"[v1.x:y]", b"127.0.0.1:8080", b"[::1]:80", b"b\xc3\xbc".hex().encode(), b"a_b.c:"],
)
async def test_host_of_any_valid_form_is_served(served: Served, recorder: Recorder, host: bytes) -> None:
    [answer] = await served.answers(b"GET /second HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host)

    assert status_of(answer) == 200


@pytest.mark.parametrize(
    "method", [b"FROB", b"get", b"Foo-Bar", b"GETT", b"G", b"patch", b"PRI", b"!#$%&'*+.^_`|~", b"1"]
)
@pytest.mark.parametrize("before", [b"", SECOND], ids=["first", "after another"])
async def test_method_that_http_does_not_know_is_501_in_any_spelling(
    served: Served, recorder: Recorder, method: bytes, before: bytes
) -> None:
    [*_, answer] = await served.answers(before, b"%b / HTTP/1.1\r\nHost: x\r\n\r\n" % method)

    assert status_of(answer) == 501
    assert b"cache-control: no-store" in answer
    assert problem_of(answer)["code"] == "method-not-implemented"
    assert method.decode() in problem_of(answer)["detail"]


@pytest.mark.parametrize("cut", [1, 2, 5, 9, 15])
@pytest.mark.parametrize("method", [b"FROB", b"SETUP", b"FLUSH"])
async def test_unknown_method_is_501_however_its_request_arrives(served: Served, method: bytes, cut: int) -> None:
    request = b"%b / HTTP/1.1\r\nHost: x\r\n\r\n" % method

    [answer] = await served.answers(request[:cut], request[cut:])

    assert status_of(answer) == 501


@pytest.mark.parametrize("before", [b"", SECOND.replace(b"close", b"keep-alive")], ids=["first", "after another"])
@pytest.mark.parametrize("begun", [b"FO", b"FROB /"])
async def test_unknown_method_whose_request_line_never_ends_is_given_up_on(
    served: Served, before: bytes, begun: bytes
) -> None:
    [*_, answer] = await served.answers(before, begun)

    assert status_of(answer) == 408


@pytest.mark.parametrize(
    "body",
    [
        b"0x1\r\nx\r\n",
        b"-1\r\nx\r\n",
        b"+1\r\nx\r\n",
        b"1 \r\nx\r\n",
        b"1\nx\n",
        b"1\r\nxy\r\n",
        b"f" * 17 + b"\r\nx\r\n",
        b"1;a\nb\r\nx\r\n",
        b"\r\n",
        b"1\r\nx0\r\n",
    ],
)
async def test_broken_chunk_ends_the_request_and_nothing_after_it_is_served(
    served: Served, recorder: Recorder, body: bytes
) -> None:
    [answer] = await served.answers(CHUNKED + body + b"0\r\n\r\n" + SECOND)

    assert answer.endswith(b"broken")
    assert b"connection: close" in answer
    assert recorder.disconnected == 1
    assert recorder.seen == ["POST /"]


async def test_request_is_answered_before_the_connection_closes_for_what_follows_it(
    served: Served, recorder: Recorder
) -> None:
    recorder.may_answer.clear()
    asyncio.get_running_loop().call_later(0.1, recorder.may_answer.set)

    [answer] = await served.answers(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGARBAGE\r\n\r\n" + SECOND
    )

    assert status_of(answer) == 200
    assert answer.endswith(b"hello")
    assert b"connection: close" in answer
    assert recorder.seen == ["POST /"]


@pytest.mark.parametrize("size", [7, 40, 70, 1_000])
async def test_each_request_gets_its_own_content_however_it_arrives(size: int) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    broken = CHUNKED + b"3\r\nfou\r\nx\r\n"
    sent = (
        post % (5, b"first") + CHUNKED + b"3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n" + post % (0, b"") + post % (5, b"third")
    )

    echo = Echo()
    async with serving(echo) as served:
        answers = await served.answers(*(sent[start : start + size] for start in range(0, len(sent), size)), broken)

    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [
        b"first",
        b"second",
        b"",
        b"third",
        b"malformed-request",
    ]
    if size >= len(sent):
        assert echo.waited_for == [b"malformed-request"]


async def test_content_over_the_limit_is_refused_also_where_all_of_it_is_there() -> None:
    scope = {"type": "http", "headers": [], CONTENT: bytearray(BODY_LIMIT + 1)}

    with pytest.raises(RequestRefused) as refusal:
        await read_content(Request(scope))

    assert refusal.value.code == "body-too-large"


async def test_trailer_fields_are_no_headers(served: Served, recorder: Recorder) -> None:
    [answer] = await served.answers(
        CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b'1\r\nx\r\n0\r\nIf-Match: "x"\r\n\r\n'
    )

    assert answer.endswith(b"x")
    assert [name for name, _ in recorder.headers] == [b"host", b"transfer-encoding", b"connection"]


@pytest.mark.parametrize("cut", [0, 40, -38, -35])
async def test_offer_to_upgrade_is_ignored_and_the_body_is_the_requests_own(
    served: Served, recorder: Recorder, cut: int
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
    upgrade = head % len(SECOND) + SECOND

    first, second, third = await served.answers(upgrade[:cut], upgrade[cut:] + upgrade + SECOND)

    assert first.endswith(SECOND)
    assert second.endswith(SECOND)
    assert status_of(third) == 200
    assert recorder.seen == ["POST /", "POST /", "GET /second"]


async def test_body_that_is_not_read_is_not_taken_for_a_request(served: Served, recorder: Recorder) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SECOND)

    answers = await served.answers(head + SECOND, head, SECOND)

    assert [status_of(answer) for answer in answers] == [200, 200]
    assert recorder.seen == ["POST /unread", "POST /unread"]


async def test_client_that_was_not_asked_for_its_body_cannot_send_another_request(
    served: Served, recorder: Recorder
) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

    [answer] = await served.answers(head, SECOND)

    assert b"connection: close" in answer
    assert recorder.seen == ["POST /unread"]


@pytest.mark.parametrize("parts", [1, 2], ids=["body without being asked", "body after the 100"])
async def test_client_whose_body_was_read_can_send_another_request(
    served: Served, recorder: Recorder, parts: int
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

    *_, first, second = await served.answers(*([head + b"hello"] if parts == 1 else [head, b"hello"]), SECOND)

    assert first.endswith(b"hello")
    assert b"connection: close" not in first
    assert status_of(second) == 200
    assert recorder.seen == ["POST /", "GET /second"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="whole request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 70_000 + b"\r\n\r\n", id="whole header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: x\r\n" * 101 + b"\r\n", id="many headers"),
        pytest.param(b"GET /" + b"x" * 1_000_000, id="endless request line"),
        pytest.param(b"GET / HTTP/1.1\r\nX-A: " + b"x" * 1_000_000, id="endless header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X-A: x\r\n" * 100_000, id="endless headers"),
    ],
)
async def test_headers_over_the_limit_are_refused(served: Served, recorder: Recorder, sent: bytes) -> None:
    [answer] = await served.answers(sent)

    assert status_of(answer) == 431
    assert problem_of(answer)["code"] == "headers-too-large"
    assert not recorder.seen


async def test_refused_client_that_sends_on_can_read_why(recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    async with serving(recorder, Patient) as served:
        with socket.create_connection(served.address) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nX-A: ")
            for _ in range(10):
                await loop.sock_sendall(client, b"x" * 100_000)
                await asyncio.sleep(0.02)

            answer = await loop.sock_recv(client, 65_536)

    assert status_of(answer) == 431


async def test_headers_within_the_limit_are_served(served: Served, recorder: Recorder) -> None:
    large = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"x" * 60_000 + b"\r\n" + b"X-B: x\r\n" * 98 + b"\r\n"
    body = b"x" * 200_000

    answers = await served.answers(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + body + large[:50], large[50:]
    )

    assert [status_of(answer) for answer in answers] == [200, 200]


async def test_endless_trailer_ends_the_request(served: Served, recorder: Recorder) -> None:
    await served.answers(CHUNKED + b"0\r\nX-A: ", *[b"x" * 1_000_000] * 10)

    assert recorder.disconnected == 1


async def test_pipeline_without_an_end_is_cut_off_after_the_answers_that_are_due(
    served: Served, recorder: Recorder
) -> None:
    answers = await served.answers(SECOND * 2_000)

    assert len(answers) == len(recorder.seen) == Connection.pipeline_limit + 1
    assert b"connection: close" in answers[-1]


async def test_connection_that_sends_nothing_is_closed(served: Served) -> None:
    assert await served.answers(b"") == []


async def test_client_that_sends_no_more_gets_its_answer(recorder: Recorder) -> None:
    async def answer_at_once(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            await recorder(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"here"})

    async with serving(answer_at_once) as served:
        for _ in range(20):
            reader, writer = await served.open(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(10):
                answer = await reader.read()
            writer.close()

            assert answer.endswith(b"\r\n\r\nhere")


async def test_answer_without_content_leaves_the_connection_as_it_was(recorder: Recorder) -> None:
    async def answer_nothing(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            await recorder(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(answer_nothing) as served:
        get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        # It closes once it is idle, so nothing is left to be sent.
        answers = await served.answers(get, get + get)

    assert [status_of(answer) for answer in answers] == [204, 204, 204]


async def test_blank_lines_keep_no_connection_open(served: Served) -> None:
    assert await served.answers(*[b"\r\n"] * 15) == []


@pytest.mark.parametrize("before", [b"", SECOND], ids=["the first request", "a later request"])
async def test_slow_headers_are_given_up_on(served: Served, before: bytes) -> None:
    slow = [bytes([byte]) for byte in b"GET / HTTP/1.1\r\nHost: x\r\n"]

    *_, answer = await served.answers(before, *slow)

    assert status_of(answer) == 408
    assert problem_of(answer)["code"] == "request-timeout"


async def test_slow_rest_of_a_body_that_nobody_reads_is_given_up_on(served: Served, recorder: Recorder) -> None:
    [answer] = await served.answers(
        b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", *[b"x" for _ in range(15)]
    )

    assert status_of(answer) == 200


async def test_client_that_never_reads_is_cut_off(recorder: Recorder) -> None:
    recorder.answer = b"x" * 10_000_000

    async with serving(recorder) as served:
        reader, writer = await served.open(SECOND * 10)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        state = served.server.server_state
        while not recorder.seen or state.connections or state.tasks:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)

        assert len(recorder.seen) < 10
        writer.close()


async def test_idle_connection_may_send_a_last_request_while_the_process_ends(recorder: Recorder) -> None:
    async with serving(recorder) as served:
        used, fresh = await served.open(SECOND), await served.open()
        await used[0].readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        served.server.should_exit = True
        await asyncio.sleep(0.2)

        for _, writer in (used, fresh):
            writer.write(SECOND)
        answers = [await reader.read() for reader, _ in (used, fresh)]

    assert all(answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer for answer in answers)
    for _, writer in (used, fresh):
        writer.close()


async def test_connection_without_a_last_request_is_closed_while_the_process_ends(recorder: Recorder) -> None:
    async with serving(recorder, Patient) as served:
        reader, writer = await served.open()
        await asyncio.sleep(0.05)
        served.server.should_exit = True

        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_connection_that_waits_to_be_accepted_when_the_listener_closes_is_served(recorder: Recorder) -> None:
    async with serving(recorder) as served:
        # It blocks the loop, so that the connection is made and not accepted.
        with socket.create_connection(served.address) as late:
            late.sendall(SECOND)
            await served.server.shutdown()

            answer = late.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


async def test_connection_that_is_made_while_the_listener_closes_may_send_one_request(recorder: Recorder) -> None:
    async with serving(recorder) as served:
        ours, theirs = socket.socketpair()
        ending = asyncio.create_task(served.server.shutdown())
        # uvicorn has seen to those that were there.
        for _ in range(2):
            await asyncio.sleep(0)
        await asyncio.get_running_loop().connect_accepted_socket(served.server.connection, theirs)
        await asyncio.sleep(0.1)

        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(SECOND)
        answer = await reader.read()
        await ending
        writer.close()

    assert status_of(answer) == 200
    assert b"connection: close" in answer


async def test_connections_are_accepted_many_in_a_turn_of_the_loop() -> None:
    async def accepted() -> int:
        async with serving(Recorder()) as served:
            clients = [socket.create_connection(served.address) for _ in range(50)]
            for _ in range(5):
                await asyncio.sleep(0)
            number = len(served.server.server_state.connections)
            for client in clients:
                client.close()
            return number

    # The loop that it serves on; the tests' own accepts all that there are.
    assert await asyncio.to_thread(uvloop.run, accepted()) == 50


async def test_answers_close_their_connection_once_the_drain_has_begun(served: Served, recorder: Recorder) -> None:
    recorder.drain.begin()

    [answer] = await served.answers(SECOND)

    assert status_of(answer) == 200
    assert b"connection: close" in answer


async def test_request_is_freed_when_it_is_answered_and_waits_for_no_garbage_collector(table_name: str) -> None:
    service = create_app(load_settings(table_name=table_name, auth="none"))
    head = "{} /playlists/p1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}"
    made = '{"playlist_name": "Mine", "track_tokens": []}'
    stale = '{"playlist_name": "Late", "playlist_version": 7}'
    requests = [("PUT", made, b"201"), ("GET", "", b"200"), ("PATCH", stale, b"409"), ("GET", "unread", b"200")]
    async with serving(service) as served:
        reader, writer = await served.open()
        gc.collect()
        gc.disable()
        try:
            for method, body, status in requests:
                writer.write(head.format(method, len(body), body).encode())
                answer = await reader.readuntil(b"\r\n\r\n")
                assert status in answer
                await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            await asyncio.sleep(0)
            alive = [living for living in gc.get_objects() if isinstance(living, RequestResponseCycle)]
            kept = [cycle.body or cycle.scope.get(CONTENT) for cycle in alive]
        finally:
            gc.enable()
        writer.close()

    # The one that a connection has had last, without what was sent.
    assert kept == [None]
