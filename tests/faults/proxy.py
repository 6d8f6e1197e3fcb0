"""A proxy between the service and its engine that loses, delays and damages what passes through it."""

import asyncio
import json
import random
import re
import socket
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import urlsplit

WRITES = ("PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems")
_HANG_SECONDS = 30


class Fault(Enum):
    """What happens to one request. `applied` faults reach the engine; the client is not told so."""

    NONE = auto()
    DELAY = auto()
    RESET_BEFORE = auto()
    ERROR_BEFORE = auto()
    HANG_BEFORE = auto()
    THROTTLE = auto()
    TRANSACTION_CONFLICT = auto()
    CLOCK_SKEW = auto()
    EXPIRED_TOKEN = auto()
    DROP_RESPONSE = auto()
    RESET_MIDWAY = auto()
    ERROR_AFTER = auto()
    HANG_AFTER = auto()
    TRUNCATE = auto()
    WRONG_CHECKSUM = auto()

    @property
    def applied(self) -> bool:
        return self in APPLIED_AND_LOST


APPLIED_AND_LOST = (
    Fault.DROP_RESPONSE,
    Fault.RESET_MIDWAY,
    Fault.ERROR_AFTER,
    Fault.HANG_AFTER,
    Fault.TRUNCATE,
    Fault.WRONG_CHECKSUM,
)
NOT_APPLIED_AND_UNKNOWN = (Fault.RESET_BEFORE, Fault.ERROR_BEFORE, Fault.HANG_BEFORE)
REFUSALS = {
    Fault.THROTTLE: "ProvisionedThroughputExceededException",
    Fault.TRANSACTION_CONFLICT: "TransactionConflictException",
    Fault.CLOCK_SKEW: "InvalidSignatureException",
    Fault.EXPIRED_TOKEN: "ExpiredTokenException",
}
# What happens to a request of this operation and content.
Plan = Callable[[str, bytes], Fault]


@dataclass
class Script:
    """A plan for the writes of one test: these faults in turn, then none; `after[n]` acts once the n-th is done."""

    faults: Iterable[Fault]
    after: dict[int, Callable[[], object]] = field(default_factory=dict)
    reads: Fault = Fault.NONE

    def __post_init__(self) -> None:
        self._left = deque(self.faults)

    def __call__(self, operation: str, content: bytes) -> Fault:
        del content
        if operation not in WRITES:
            return self.reads
        return self._left.popleft() if self._left else Fault.NONE


class RandomPlan:
    """Faults drawn from a seed, `rate` of all requests; of applied and lost writes a fifth is throttled from then on.

    Besides, `slow_writes` of the writes are delayed, so that others come between a read and its write.
    """

    def __init__(self, seed: int, *, rate: float, slow_writes: float = 0.2, hang: bool = True) -> None:
        self._slow_writes = slow_writes
        self._random = random.Random(seed)
        self._rate = rate
        self._faults = [fault for fault in Fault if hang or "HANG" not in fault.name]
        self._throttled: set[bytes] = set()
        self.drawn: Counter[str] = Counter()

    def __call__(self, operation: str, content: bytes) -> Fault:
        fault = self._draw(operation, content)
        self.drawn[fault.name] += 1
        return fault

    def _draw(self, operation: str, content: bytes) -> Fault:
        # A retry has the content of the first attempt.
        if content in self._throttled:
            return Fault.THROTTLE
        if self._random.random() >= self._rate:
            return Fault.DELAY if operation in WRITES and self._random.random() < self._slow_writes else Fault.NONE
        fault = self._random.choice(self._faults)
        if operation in WRITES and fault.applied and self._random.random() < 0.2:
            self._throttled.add(content)
        return fault


class FaultProxy:
    """Forwards single requests to the engine as its plan says; `url` is where it listens."""

    def __init__(self, engine_url: str) -> None:
        engine = urlsplit(engine_url)
        assert engine.hostname
        assert engine.port
        self._engine = (engine.hostname, engine.port)
        self.plan: Plan = lambda *_: Fault.NONE
        self.url = ""
        self.delay_seconds = 0.05
        self.writes_seen = 0
        self.access_keys: list[str] = []
        self._last_reads: dict[str, bytes] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultProxy"]:
        connections: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    while await self._exchange(reader, writer):
                        pass
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**22)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection can take another."""
        request, operation = await _read_message(reader)
        self.access_keys += re.findall(r"Credential=(\w+)/", request.partition(b"\r\n\r\n")[0].decode())
        fault = self.plan(operation, request.partition(b"\r\n\r\n")[2])
        number = self.writes_seen
        self.writes_seen += operation in WRITES
        try:
            return await self._suffer(fault, request, writer)
        finally:
            act = getattr(self.plan, "after", {}).get(number) if operation in WRITES else None
            if act is not None:
                act()

    async def _suffer(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> bool:
        if fault in REFUSALS:
            writer.write(_answer(400, {"__type": f"com.amazonaws.dynamodb.v20120810#{REFUSALS[fault]}", "message": ""}))
            await writer.drain()
            return True
        if fault is Fault.ERROR_BEFORE:
            writer.write(_answer(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}))
            await writer.drain()
            return True
        if fault is Fault.RESET_BEFORE:
            _reset(writer)
            return False
        if fault is Fault.HANG_BEFORE:
            await asyncio.sleep(_HANG_SECONDS)
            return False
        if fault is Fault.DELAY:
            await asyncio.sleep(self.delay_seconds)
        response = self._as_of_a_replica(request, await self._forward(request))
        return await _deliver(fault, response, writer)

    def _as_of_a_replica(self, request: bytes, response: bytes) -> bytes:
        """Answer an eventually consistent read with what the read before it got, as a replica may."""
        if b".GetItem" not in request:
            return response
        asked = json.loads(request.partition(b"\r\n\r\n")[2])
        key = json.dumps(asked["Key"])
        before = self._last_reads.get(key, response)
        self._last_reads[key] = response
        return response if asked.get("ConsistentRead") else before

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._engine, limit=2**22)
        try:
            writer.write(request)
            response, _ = await _read_message(reader)
            return response
        finally:
            writer.close()


async def _deliver(fault: Fault, response: bytes, writer: asyncio.StreamWriter) -> bool:
    head, _, body = response.partition(b"\r\n\r\n")
    if fault is Fault.DROP_RESPONSE:
        return False
    if fault is Fault.HANG_AFTER:
        # Longer than any time-out; the client goes away first.
        await asyncio.sleep(_HANG_SECONDS)
        return False
    if fault is Fault.ERROR_AFTER:
        writer.write(_answer(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}))
    elif fault is Fault.WRONG_CHECKSUM:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"x-amz-crc32")]
        writer.write(b"\r\n".join([*lines, b"x-amz-crc32: 1"]) + b"\r\n\r\n" + body)
    elif fault in (Fault.TRUNCATE, Fault.RESET_MIDWAY):
        writer.write(response[: len(head) + 4 + len(body) // 2])
        await writer.drain()
        if fault is Fault.RESET_MIDWAY:
            _reset(writer)
        return False
    else:
        writer.write(response)
    await writer.drain()
    return True


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """A whole HTTP message with a Content-Length, and the DynamoDB operation that it asks for, if any."""
    head = await reader.readuntil(b"\r\n\r\n")
    length, operation, chunked = 0, "", False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        match name.lower():
            case b"content-length":
                length = int(value)
            case b"x-amz-target":
                operation = value.decode().rpartition(".")[2].strip()
            case b"transfer-encoding":
                chunked = True
    if not chunked:
        return head + await reader.readexactly(length), operation
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"transfer-encoding")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body, operation


def _answer(status: int, body: dict[str, str]) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(content), content)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST instead of a FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
