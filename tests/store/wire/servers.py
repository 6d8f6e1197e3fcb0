"""An HTTP server that does to each connection what a test tells it to, byte by byte."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    """What came in; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    """One connection as the server sees it, the `number`-th of them, counted from 0."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> Request:
        """Read one whole request. Raises IncompleteReadError where the client has gone."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Request(line, headers, await self.reader.readexactly(int(headers.get("content-length", 0))))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


# What is done to a connection; it is closed after that.
Serve = Callable[[Connection], Awaitable[None]]


@dataclass
class Server:
    """A server under way, and the connections that it was made."""

    port: int
    connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many neither side has closed yet."""
        return sum(not (each.reader.at_eof() or each.writer.is_closing()) for each in self.connections)


@asynccontextmanager
async def serving(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run a server on a free port of the loopback interface."""
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        connection = Connection(len(server.connections), reader, writer)
        server.connections.append(connection)
        try:
            # uvloop raises RuntimeError where the client has gone.
            with suppress(OSError, RuntimeError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await serve(connection)
        finally:
            running.discard(task)
            writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**24, ssl=tls)
    server = Server(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def answer(body: bytes, *lines: str, status: int = 200) -> bytes:
    """An answer as DynamoDB sends it, with these header lines besides."""
    head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, f"Content-Length: {len(body)}"])
    return f"{head}\r\n\r\n".encode("latin-1") + body
