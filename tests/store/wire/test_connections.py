"""Connections, against servers that keep to HTTP and such that do not."""

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from app.store.wire import connections
from app.store.wire.connections import Address, ConnectionNotMade, ConnectionPool, Reply
from tests.store.wire.servers import Connection, Serve, Server, answer, serving

pytestmark = pytest.mark.asyncio(loop_scope="function")

# Long for what has to happen, so that it happens on a busy machine too.
PATIENCE_SECONDS = 10.0
HANG_SECONDS = 60.0


def request(number: object = 0) -> bytes:
    body = str(number).encode()
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def pool_of(
    server: Server,
    *,
    limit: int = 4,
    connect_timeout: float = PATIENCE_SECONDS,
    read_timeout: float = PATIENCE_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> ConnectionPool:
    address = Address(server.url, "127.0.0.1", server.port, tls)
    return ConnectionPool(address, limit=limit, connect_timeout=connect_timeout, read_timeout=read_timeout)


@asynccontextmanager
async def served(serve: Serve, **options: float) -> AsyncIterator[tuple[ConnectionPool, Server]]:
    """A pool whose server does this to each connection."""
    async with serving(serve) as server:
        pool = pool_of(server, **options)  # type: ignore[arg-type]
        yield pool, server
        pool.close()


async def echo(connection: Connection) -> None:
    """Answer each request with its own body, and the number of its connection in a header."""
    while True:
        asked = await connection.request()
        await connection.send(answer(asked.body, f"Connection-Number: {connection.number}"))


def first_then_echo(first: Callable[[Connection], Awaitable[None]]) -> Serve:
    """Do something to the first connection, and serve the others."""

    async def serve(connection: Connection) -> None:
        await (first if connection.number == 0 else echo)(connection)

    return serve


async def hang(connection: Connection) -> None:
    await connection.request()
    await asyncio.sleep(HANG_SECONDS)


def number_of(reply: Reply) -> int:
    """Of the connection that `echo` answered on."""
    return int(reply.headers[b"connection-number"])


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - there is nothing that would tell
            await asyncio.sleep(0.001)


def close_unnoticed(connection: Connection) -> None:
    """Send a FIN before the event loop has had a chance to hear of it."""
    descriptor = connection.writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_WR)


def send_unnoticed(connection: Connection, data: bytes) -> None:
    descriptor = connection.writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.send(data)


# Keeping connections.


async def test_connection_is_kept_and_used_again() -> None:
    async with served(echo) as (pool, server):
        replies = [await pool.exchange(request(number)) for number in range(5)]

        assert [reply.body for reply in replies] == [b"0", b"1", b"2", b"3", b"4"]
        assert len(server.connections) == 1


async def test_connection_used_last_is_used_first() -> None:
    last_answer = asyncio.Event()

    async def serve(connection: Connection) -> None:
        asked = await connection.request()
        if asked.body == b"last":
            await last_answer.wait()
        await connection.send(answer(asked.body, f"Connection-Number: {connection.number}"))
        await echo(connection)

    async with served(serve) as (pool, _):
        last = asyncio.create_task(pool.exchange(request("last")))
        await pool.exchange(request("first"))
        last_answer.set()
        number_of_last = number_of(await last)

        assert [number_of(await pool.exchange(request())) for _ in range(3)] == [number_of_last] * 3


async def test_connections_are_no_more_than_the_limit_and_all_are_served() -> None:
    async with served(echo, limit=8) as (pool, server):
        replies = await asyncio.gather(*(pool.exchange(request(number)) for number in range(500)))

        assert [reply.body for reply in replies] == [str(number).encode() for number in range(500)]
        assert len(server.connections) == 8


async def test_who_waits_too_long_for_a_connection_is_told_that_nothing_was_sent() -> None:
    async with served(hang, limit=2, connect_timeout=0.1) as (pool, server):
        held = [asyncio.create_task(pool.exchange(request())) for _ in range(2)]
        await eventually(lambda: len(server.connections) == 2)

        with pytest.raises(ConnectionNotMade, match="all connections are in use"):
            await pool.exchange(request())

        assert len(server.connections) == 2
        for task in held:
            task.cancel()


async def test_who_waits_for_a_connection_gets_the_next_that_is_free() -> None:
    async with served(echo, limit=1) as (pool, server):
        replies = await asyncio.gather(*(pool.exchange(request(number)) for number in range(3)))

        assert [reply.body for reply in replies] == [b"0", b"1", b"2"]
        assert len(server.connections) == 1


async def test_connection_that_the_server_closed_is_not_used() -> None:
    async def once(connection: Connection) -> None:
        asked = await connection.request()
        await connection.send(answer(asked.body))

    async with served(once) as (pool, server):
        await pool.exchange(request())
        await eventually(lambda: server.open_connections == 0)
        await asyncio.sleep(0.05)  # The client hears of it.
        reply = await pool.exchange(request("again"))

        assert reply.body == b"again"
        assert len(server.connections) == 2


@pytest.mark.parametrize("what", [close_unnoticed, lambda connection: send_unnoticed(connection, answer(b"stale"))])
async def test_connection_is_looked_at_after_a_rest_for_what_the_loop_has_not_noticed(
    what: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_LOOKED_AT_AFTER_SECONDS", 0.02)
    async with served(echo) as (pool, server):
        await pool.exchange(request())
        await asyncio.sleep(0.03)
        what(server.connections[0])
        reply = await pool.exchange(request("again"))

        assert reply.body == b"again"
        assert number_of(reply) == 1


async def test_connection_that_is_quiet_is_used_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOOKED_AT_AFTER_SECONDS", 0.0)
    async with served(echo) as (pool, server):
        for _ in range(20):
            await pool.exchange(request())

        assert len(server.connections) == 1


async def test_connection_that_rested_too_long_is_closed_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_KEPT_SECONDS", 0.02)
    async with served(echo) as (pool, server):
        await asyncio.gather(*(pool.exchange(request()) for _ in range(3)))
        await asyncio.sleep(0.03)
        reply = await pool.exchange(request("again"))

        assert number_of(reply) == 3
        await eventually(lambda: server.open_connections == 1)


async def test_connection_is_not_used_again_before_the_server_has_taken_the_request() -> None:
    async def answer_early(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(answer(b"early"))
        await asyncio.sleep(HANG_SECONDS)

    async with served(first_then_echo(answer_early)) as (pool, _):
        assert (await pool.exchange(request("x" * 2**25))).body == b"early"

        assert number_of(await pool.exchange(request())) == 1


# What became of a request.


async def test_nothing_was_sent_where_nobody_listens() -> None:
    async with serving(echo) as server:
        pass

    with pytest.raises(ConnectionNotMade):
        await pool_of(server).exchange(request())


async def test_nothing_was_sent_where_no_connection_comes_about_in_time() -> None:
    # The handshake is never answered.
    async with serving(hang) as server:
        pool = pool_of(server, limit=1, connect_timeout=0.1, tls=ssl.create_default_context())

        for _ in range(2):
            with pytest.raises(ConnectionNotMade, match="none within"):
                await pool.exchange(request())

        await eventually(lambda: server.open_connections == 0)


async def test_it_is_unknown_what_became_of_a_request_whose_connection_was_closed_unnoticed() -> None:
    async with served(echo) as (pool, server):
        await pool.exchange(request())
        close_unnoticed(server.connections[0])

        with pytest.raises(ConnectionClosedError):
            await pool.exchange(request())

        assert number_of(await pool.exchange(request())) == 1


async def test_silence_is_an_answer_that_never_came() -> None:
    async with served(first_then_echo(hang), limit=1, read_timeout=0.1) as (pool, server):
        began = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            await pool.exchange(request())

        assert 0.09 < time.monotonic() - began < PATIENCE_SECONDS
        await eventually(lambda: server.open_connections == 0)
        assert number_of(await pool.exchange(request())) == 1


async def test_silence_midway_in_an_answer_is_an_answer_that_never_came() -> None:
    async def half(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer(b"whole")[:-2])
        await asyncio.sleep(HANG_SECONDS)

    async with served(half, read_timeout=0.1) as (pool, _):
        with pytest.raises(ReadTimeoutError):
            await pool.exchange(request())


async def test_answer_that_comes_slowly_is_waited_for() -> None:
    async def drip(connection: Connection) -> None:
        await connection.request()
        text = answer(b"slow")
        for start in range(0, len(text), 5):
            await connection.send(text[start : start + 5])
            await asyncio.sleep(0.08)

    async with served(drip, read_timeout=0.4) as (pool, _):
        began = time.monotonic()

        assert (await pool.exchange(request())).body == b"slow"
        assert time.monotonic() - began > 0.4


async def test_silence_is_counted_from_each_request_anew() -> None:
    async def serve(connection: Connection) -> None:
        while True:
            asked = await connection.request()
            await asyncio.sleep(float(asked.body))
            await connection.send(answer(asked.body))

    async with served(serve, read_timeout=0.4) as (pool, server):
        # The first request's timer ends in the midst of the third.
        await pool.exchange(request(0.0))
        await asyncio.sleep(0.25)
        for _ in range(2):
            await pool.exchange(request(0.3))
        began = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            await pool.exchange(request(HANG_SECONDS))

        assert 0.35 < time.monotonic() - began < PATIENCE_SECONDS
        assert len(server.connections) == 1


# Answers.

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nwhole"
WHOLE = {
    "by its length": answer(b"whole"),
    "in chunks": CHUNKED + b"2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n",
    "in chunks with extensions and trailers": CHUNKED + b"5;a=b\r\nwhole\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"whole"),
    "after 102, 103, 103": (
        b"HTTP/1.1 102 X\r\n\r\n" + b"HTTP/1.1 103 X\r\nLink: </a>; rel=preload\r\n\r\n" * 2 + answer(b"whole")
    ),
    "upgrade offered": answer(b"whole", "Upgrade: h2c", "Connection: Upgrade"),
    "many headers": answer(b"whole", *(f"X-{number}: {'x' * 100}" for number in range(500))),
}
CLOSED_AFTER = {
    "connection: close": CLOSING,
    "HTTP/1.0": CLOSING.replace(b"1.1", b"1.0").replace(b"Connection: close\r\n", b""),
    "longer than its length": answer(b"whole") + b"r",
    "followed by another": answer(b"whole") + answer(b"other"),
    "followed by an interim one": answer(b"whole") + b"HTTP/1.1 100 Continue\r\n\r\n",
    "in chunks, followed by another": CHUNKED + b"5\r\nwhole\r\n0\r\n\r\n" + answer(b"other"),
}
NO_ANSWERS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no length": HEAD + b"\r\n{}",
    "no length in HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n{}",
    "shorter than its length": answer(b"whole")[:-1],
    "no body": HEAD + b"Content-Length: 5\r\n\r\n",
    "interim only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n{}",
    "chunks without an end": CHUNKED + b"2\r\nwh\r\n",
    "end without an end": CHUNKED + b"5\r\nwhole\r\n0\r\n",
    "half a chunk": CHUNKED + b"5\r\nwho",
    "chunk longer than its size": CHUNKED + b"3\r\nwhole\r\n0\r\n\r\n",
    "size that is none": CHUNKED + b"x\r\nwhole\r\n0\r\n\r\n",
    "endless size": CHUNKED + b"f" * 40 + b"\r\nwhole\r\n0\r\n\r\n",
    "compressed to the end": HEAD + b"Transfer-Encoding: gzip\r\n\r\nwhole",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\nwhole",
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
    "negative length": HEAD + b"Content-Length: -5\r\n\r\nwhole",
    "length that is none": HEAD + b"Content-Length: five\r\n\r\nwhole",
    "endless length": HEAD + b"Content-Length: 99999999999999999999\r\n\r\nwhole",
    "header without a name": HEAD + b": 5\r\nContent-Length: 5\r\n\r\nwhole",
    "header with a null": HEAD + b"X: \x00\r\nContent-Length: 5\r\n\r\nwhole",
    "a newer protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a request": request("whole"),
    "TLS": b"\x15\x03\x03\x00\x02\x02\x50",
    "garbage": bytes(range(256)),
    "prose": b"Service unavailable\n",
}


def sending(text: bytes, *, then_hang: bool = False, step: int | None = None) -> Serve:
    """Send this as answer to the first request; then close, or hang."""

    async def serve(connection: Connection) -> None:
        await connection.request()
        for start in range(0, len(text), step or len(text) or 1):
            await connection.send(text[start : start + (step or len(text))])
            await asyncio.sleep(0)
        if then_hang:
            await connection.reader.read()

    return first_then_echo(serve)


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE.keys())
async def test_answer_is_taken_when_it_is_whole_and_its_connection_kept(text: bytes) -> None:
    async def serve(connection: Connection) -> None:
        while await connection.request():
            await connection.send(text)

    async with served(serve) as (pool, server):
        for _ in range(3):
            reply = await pool.exchange(request())
            assert (reply.status, reply.body) == (200, b"whole")
        assert len(server.connections) == 1


@pytest.mark.parametrize("text", [*WHOLE.values(), *CLOSED_AFTER.values()], ids=[*WHOLE.keys(), *CLOSED_AFTER.keys()])
async def test_answer_is_the_same_however_it_is_cut(text: bytes) -> None:
    if len(text) > 1000:
        text = WHOLE["after 100"]
    async with served(sending(text, step=1)) as (pool, _):
        reply = await pool.exchange(request())

    assert (reply.status, reply.body) == (200, b"whole")


@pytest.mark.parametrize("text", CLOSED_AFTER.values(), ids=CLOSED_AFTER.keys())
@pytest.mark.parametrize("then_hang", [True, False], ids=["kept open", "closed"])
async def test_connection_is_not_used_again_after_such_an_answer(text: bytes, then_hang: bool) -> None:
    async with served(sending(text, then_hang=then_hang)) as (pool, _):
        first = await pool.exchange(request())
        second = await pool.exchange(request("second"))

    assert (first.status, first.body) == (200, b"whole")
    assert (second.body, number_of(second)) == (b"second", 1)


@pytest.mark.parametrize("text", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
@pytest.mark.parametrize("step", [None, 1], ids=["at once", "by bytes"])
async def test_what_is_no_whole_answer_is_none(text: bytes, step: int | None) -> None:
    async with served(sending(text, step=step), limit=1) as (pool, server):
        with pytest.raises(ConnectionClosedError):
            await pool.exchange(request())

        assert number_of(await pool.exchange(request())) == 1
        assert len(server.connections) == 2


@pytest.mark.parametrize("name", ["no length", "no length in HTTP/1.0", "another protocol"])
async def test_answer_that_would_end_with_its_connection_is_refused_at_once(name: str) -> None:
    async with served(sending(NO_ANSWERS[name], then_hang=True), read_timeout=1.0) as (pool, _):
        with pytest.raises(ConnectionClosedError):
            await pool.exchange(request())


async def test_reset_midway_in_an_answer_is_no_answer() -> None:
    async def reset(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer(b"whole")[:-1])
        connection.reset()

    async with served(first_then_echo(reset)) as (pool, _):
        with pytest.raises(ConnectionClosedError):
            await pool.exchange(request())


async def endless(connection: Connection, head: bytes, piece: bytes) -> None:
    await connection.request()
    await connection.send(head)
    while True:
        await connection.send(piece)


ENDLESS = {
    "headers": (HEAD, b"".join(b"X-%d: %s\r\n" % (number, b"x" * 100) for number in range(1000))),
    "one header": (HEAD + b"X: ", b"x" * 2**16),
    "a header's name": (HEAD, b"x" * 2**16),
    "reason": (b"HTTP/1.1 200 ", b"x" * 2**16),
    "interim answers": (b"", b"HTTP/1.1 103 X\r\nX: 1\r\n\r\n" * 2**10),
    "body": (HEAD + b"Content-Length: 1000000000\r\n\r\n", b"x" * 2**16),
    "chunks": (CHUNKED, b"10000\r\n%s\r\n" % (b"x" * 2**16)),
    "chunk's extension": (CHUNKED + b"5;", b"x" * 2**16),
    "trailers": (CHUNKED + b"0\r\n", b"X: %s\r\n" % (b"x" * 2**10)),
}


@pytest.mark.parametrize(("head", "piece"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_answer_without_an_end_is_cut_off(head: bytes, piece: bytes) -> None:
    async with served(lambda connection: endless(connection, head, piece)) as (pool, server):
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(ConnectionClosedError):
                await pool.exchange(request())

        await eventually(lambda: server.open_connections == 0)


async def test_largest_answer_is_taken() -> None:
    # 400 KiB of empty strings in a list, each of which counts as one byte.
    body = b",".join([b'{"S":""}'] * 400 * 1024)

    async with served(sending(answer(body))) as (pool, _):
        assert (await pool.exchange(request())).body == body


async def test_headers_are_told_in_lower_case_and_of_several_lines_the_last() -> None:
    text = answer(b"", "X-Amz-CRC32: 1", "x-empty:", "X-AMZ-crc32:  2 ")

    async with served(sending(text)) as (pool, _):
        reply = await pool.exchange(request())

    assert reply.headers == {b"x-amz-crc32": b"2", b"x-empty": b"", b"content-length": b"0"}


async def test_headers_of_an_interim_answer_are_not_those_of_the_answer() -> None:
    text = b"HTTP/1.1 103 X\r\nX-Amz-Crc32: 1\r\n\r\n" + answer(b"")

    async with served(sending(text)) as (pool, _):
        reply = await pool.exchange(request())

    assert b"x-amz-crc32" not in reply.headers


async def test_what_nobody_asked_for_is_taken_for_no_answer() -> None:
    async with served(echo) as (pool, server):
        await pool.exchange(request())
        await server.connections[0].send(answer(b"stale"))
        await eventually(lambda: server.open_connections == 0)

        reply = await pool.exchange(request("own"))

    assert (reply.body, number_of(reply)) == (b"own", 1)


# Cancellations.


async def cancelled(task: "asyncio.Task[Reply]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_while_waiting_for_a_connection_leaves_the_place_to_others() -> None:
    free = asyncio.Event()

    async def serve(connection: Connection) -> None:
        while True:
            asked = await connection.request()
            await free.wait()
            await connection.send(answer(asked.body))

    async with served(serve, limit=1) as (pool, server):
        holding, waiting, third = (asyncio.create_task(pool.exchange(request(number))) for number in range(3))
        await eventually(lambda: len(server.connections) == 1)
        await cancelled(waiting)
        free.set()

        assert (await holding).body == b"0"
        assert (await third).body == b"2"
        assert len(server.connections) == 1


async def test_cancelled_while_connecting_leaves_place_and_no_connection() -> None:
    async with serving(hang) as server:
        pool = pool_of(server, limit=1, connect_timeout=0.2, tls=ssl.create_default_context())
        connecting = asyncio.create_task(pool.exchange(request()))
        await eventually(lambda: len(server.connections) == 1)
        await cancelled(connecting)

        await eventually(lambda: server.open_connections == 0)
        with pytest.raises(ConnectionNotMade, match="none within"):
            await pool.exchange(request())


@pytest.mark.parametrize("sent_before", [0, 20, -1], ids=["before the answer", "in its head", "in its body"])
async def test_late_answer_of_a_cancelled_request_is_nobodys(sent_before: int) -> None:
    is_half_sent, is_cancelled = asyncio.Event(), asyncio.Event()

    async def late(connection: Connection) -> None:
        text = answer((await connection.request()).body)
        await connection.send(text[:sent_before])
        is_half_sent.set()
        await is_cancelled.wait()
        await connection.send(text[sent_before:])
        await echo(connection)

    async with served(first_then_echo(late), limit=1) as (pool, server):
        task = asyncio.create_task(pool.exchange(request("cancelled")))
        await is_half_sent.wait()
        await asyncio.sleep(0.01)
        await cancelled(task)
        is_cancelled.set()
        reply = await pool.exchange(request("own"))

        assert (reply.body, number_of(reply)) == (b"own", 1)
        await eventually(lambda: server.open_connections == 1)


@pytest.mark.parametrize("seed", range(4))
async def test_every_answer_is_of_its_own_request_whatever_is_cancelled(seed: int) -> None:
    chance = random.Random(seed)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def moody(connection: Connection) -> None:
        while True:
            asked = await connection.request()
            text = answer(asked.body * 20)
            cut = chance.randrange(len(text))
            for piece in (text[:cut], text[cut:]):
                await asyncio.sleep(chance.choice([0, 0, 0, 0.001, 0.005]))
                await connection.send(piece)
            if chance.random() < 0.05:
                return
            if chance.random() < 0.05:
                await connection.send(answer(b"unasked"))

    outcomes = dict.fromkeys(("answered", "cancelled", "unknown", "not sent"), 0)

    async def ask(pool: ConnectionPool, number: int) -> None:
        await asyncio.sleep(chance.random() * 0.5)
        try:
            async with asyncio.timeout(chance.choice([0, 0.001, 0.003, 0.006, 0.01, PATIENCE_SECONDS])):
                reply = await pool.exchange(request(f"<{number}>"))
        except TimeoutError:
            outcomes["cancelled"] += 1
        except (ConnectionClosedError, ReadTimeoutError):
            outcomes["unknown"] += 1
        except ConnectionNotMade:
            outcomes["not sent"] += 1
        else:
            assert reply.body == f"<{number}>".encode() * 20
            outcomes["answered"] += 1

    async with served(moody, limit=5, connect_timeout=0.05, read_timeout=0.05) as (pool, server):
        await asyncio.gather(*(ask(pool, number) for number in range(800)))
        assert min(outcomes["answered"], outcomes["cancelled"]) > 50, outcomes

        # No place was lost, nor was one added.
        assert pool._free_places == 5
        assert not pool._waiting
        await eventually(lambda: server.open_connections <= 5)
    assert complaints == []


# Closing.


async def test_closed_pool_closes_its_idle_connections() -> None:
    async with served(echo) as (pool, server):
        await asyncio.gather(*(pool.exchange(request()) for _ in range(3)))
        pool.close()

        await eventually(lambda: server.open_connections == 0)


async def test_closed_pool_closes_connections_under_way_after_their_answers() -> None:
    is_closed = asyncio.Event()

    async def serve(connection: Connection) -> None:
        asked = await connection.request()
        await is_closed.wait()
        await connection.send(answer(asked.body))
        await connection.reader.read()

    async with served(serve, limit=2) as (pool, server):
        tasks = [asyncio.create_task(pool.exchange(request(number))) for number in range(3)]
        await eventually(lambda: len(server.connections) == 2)
        pool.close()
        is_closed.set()

        assert [(await task).body for task in tasks] == [b"0", b"1", b"2"]
        await eventually(lambda: server.open_connections == 0)
