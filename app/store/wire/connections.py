"""Kept connections to one HTTP/1.1 server, each with one request at a time (RFC 9112).

Parsing is llhttp's, through httptools. What is here is what a client of DynamoDB cannot do without:
an answer is whole or none, and the connection of an exchange that was cut off is never used again.
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any

import httptools
import msgspec
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

# As aiobotocore keeps them. Whoever stands before DynamoDB closes idle connections after a minute or more.
_KEPT_SECONDS = 12.0
# After a rest of this length the server may have closed, and the loop not have noticed.
_LOOKED_AT_AFTER_SECONDS = 0.5
# An item has 400 KiB at most, and nine times that as JSON: an empty string in a list counts as one byte.
_ANSWER_LIMIT = 8 * 1024 * 1024


class ConnectionNotMade(EndpointConnectionError):  # type: ignore[misc]
    """There was no connection, so nothing was sent."""

    fmt = "No connection to {endpoint_url}: {error}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect; with TLS if there is a context for it, which then checks the server's name."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None


class Reply(msgspec.Struct):
    """One whole answer; header names in lower case, of several lines of one field the last."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class ConnectionPool:
    """At most `limit` connections, of which those used last are used first.

    `connect_timeout` (seconds) bounds the wait for a connection, for a free one too; `read_timeout`
    how long the server may be silent.
    """

    def __init__(self, address: Address, *, limit: int, connect_timeout: float, read_timeout: float) -> None:
        self._address = address
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        # While one is free, nobody waits.
        self._free_places = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._idle: deque[_Connection] = deque()
        self._is_closed = False

    async def exchange(self, request: bytes) -> Reply:
        """Send a request, once; returns its answer.

        Raises ConnectionNotMade if it was never sent; ReadTimeoutError or ConnectionClosedError if it
        is unknown what became of it.
        """
        connection = self._taken_at_once() or await self._taken()
        try:
            try:
                reply = await connection.exchange(request)
            except BaseException:
                # Its answer may still come, and would be taken for that of the next request.
                connection.abort()
                raise
            if connection.is_broken or self._is_closed:
                connection.abort()
            else:
                self._idle.append(connection)
            return reply
        finally:
            self._give_place_back()

    def close(self) -> None:
        """Close the idle connections now, and the others after their answers."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().abort()

    def _taken_at_once(self) -> "_Connection | None":
        """As `_taken`, if that means no waiting."""
        if self._free_places == 0 or (connection := self._idle_connection()) is None:
            return None
        self._free_places -= 1
        return connection

    async def _taken(self) -> "_Connection":
        """A connection, and a place among the `limit`, which the caller gives back."""
        has_place = self._free_places > 0
        if has_place:
            self._free_places -= 1
        try:
            async with asyncio.timeout(self._connect_timeout):
                if not has_place:
                    await self._place_awaited()
                    has_place = True
                return self._idle_connection() or await self._connected()
        except BaseException as error:
            if has_place:
                self._give_place_back()
            if not isinstance(error, TimeoutError):
                raise
            why = f"none within {self._connect_timeout:g} s" if has_place else "all connections are in use"
            raise self._not_made(why) from error

    async def _place_awaited(self) -> None:
        """Wait for a place behind all who wait already."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except BaseException:
            if not place.cancelled():
                self._give_place_back()  # It had come just then.
            raise
        finally:
            self._waiting.remove(place)

    def _give_place_back(self) -> None:
        """Free it, or hand it to whoever has waited longest, so that nobody takes it who comes meanwhile."""
        for place in self._waiting:
            if not place.done():
                place.set_result(None)
                return
        self._free_places += 1

    def _idle_connection(self) -> "_Connection | None":
        now = asyncio.get_running_loop().time()
        while self._idle and now - self._idle[0].rested_since > _KEPT_SECONDS:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            rest = now - connection.rested_since
            if not connection.is_broken and (rest < _LOOKED_AT_AFTER_SECONDS or connection.is_quiet):
                return connection
            connection.abort()
        return None

    async def _connected(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        address = self._address
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(loop, address.url, self._read_timeout),
                address.host,
                address.port,
                ssl=address.tls,
            )
        except (OSError, ssl.CertificateError) as error:
            raise self._not_made(error) from error
        if connection.is_broken:
            raise self._not_made("closed as soon as it was made")
        return connection

    def _not_made(self, error: Any) -> ConnectionNotMade:
        return ConnectionNotMade(endpoint_url=self._address.url, error=error)


class _Connection(asyncio.Protocol):
    """Is called by the event loop, and as the parser's target by httptools (the `on_` methods)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, read_timeout: float) -> None:
        self._loop = loop
        self._url = url
        self._read_timeout = read_timeout
        self._transport: asyncio.Transport | None = None
        # The parser calls these for each header and each part of the body, so they are no functions of Python's.
        self._header_lines: dict[bytes, bytes] = {}
        self.on_header = self._header_lines.__setitem__
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self.on_body = self._body.append
        self._parser = httptools.HttpResponseParser(self)
        self._reply: asyncio.Future[Reply] | None = None
        # An answer before the answer (RFC 9110 section 15.2).
        self._is_interim = False
        self._size = 0
        self._silent_since = 0.0
        self._watch: asyncio.TimerHandle | None = None
        # Of no use for another request.
        self.is_broken = False
        self.rested_since = 0.0

    def exchange(self, request: bytes) -> "asyncio.Future[Reply]":
        assert self._transport is not None
        self._reply = self._loop.create_future()
        self._size = 0
        self._silent_since = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(self._read_timeout, self._look_at_time)
        self._transport.write(request)
        return self._reply

    @property
    def is_quiet(self) -> bool:
        """Whether the server has sent nothing since, not even that it closes."""
        assert self._transport is not None
        try:
            descriptor = self._transport.get_extra_info("socket").fileno()
            with socket.socket(fileno=os.dup(descriptor)) as copy:
                copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def abort(self) -> None:
        self.is_broken = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.is_broken = True
        if self._watch is not None:
            self._watch.cancel()
        self._fail(ConnectionClosedError(endpoint_url=self._url, error=error))

    def eof_received(self) -> bool:
        # Without it the answer ends at its length or not at all.
        self.is_broken = True
        return False

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():
            self.abort()  # Nobody asked.
            return
        self._silent_since = self._loop.time()
        # All of it counts: a header, or a row of interim answers, may be what has no end.
        self._size += len(data)
        try:
            if self._size > _ANSWER_LIMIT:
                raise _NoAnswer("the answer has no end")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, _NoAnswer) as error:
            self._fail(ConnectionClosedError(endpoint_url=self._url, error=error))
            self.abort()

    def on_message_begin(self) -> None:
        if self._reply is None or self._reply.done():
            raise _NoAnswer("more than one answer to a request")
        self._header_lines.clear()
        self._body.clear()

    def on_headers_complete(self) -> None:
        self._is_interim = 100 <= self._parser.get_status_code() < 200
        # llhttp leaves the spaces after a value.
        self._headers = {name.lower(): value.rstrip(b" \t") for name, value in self._header_lines.items()}
        if self._is_interim:
            return
        if b"content-length" not in self._headers and b"transfer-encoding" not in self._headers:
            # Its end would be that of the connection, which comes too where it breaks.
            raise _NoAnswer("an answer without a length")

    def on_message_complete(self) -> None:
        if self._is_interim:
            return
        assert self._reply is not None
        assert self._transport is not None
        # The server may have answered before it had the whole request.
        if not self._parser.should_keep_alive() or self._transport.get_write_buffer_size():
            self.is_broken = True
        self.rested_since = self._silent_since
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._reply.set_result(Reply(self._parser.get_status_code(), self._headers, body))

    def _look_at_time(self) -> None:
        """One timer for many exchanges: most are over long before it."""
        self._watch = None
        if self._reply is None or self._reply.done():
            return
        left = self._silent_since + self._read_timeout - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look_at_time)
            return
        self._fail(ReadTimeoutError(endpoint_url=self._url))
        self.abort()

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


class _NoAnswer(Exception):
    """What came is not the one answer that was asked for; the parser passes it on where its target raises it."""
