"""What the service does under more load than it can take: goodput and latency, with its bound on requests and without.

`python -m benchmarks.overload` (`make overload`) runs the service with one worker on a stub of
DynamoDB that answers from memory, so that the service is what is short. First the peak is found by
clients that wait for their answers; then requests are offered at a multiple of it by an open loop,
which does not wait: they come when they come, and latency counts from then. Prints medians of three rounds, and
draws docs/overload.png.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from multiprocessing import Process
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from app.store.embedded import free_port, point_sdk_at
from tests.servers import running_playlists, without

FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0)
SECONDS = 8
PEAK_SECONDS = 4
ROUNDS = 3
CLOSED_LOOP_CLIENTS = 32
CONNECTIONS = 4_000
# An answer later than this is none: its client has given up.
IN_TIME_SECONDS = 1.0
LIMITS = {"64 in flight": "64", "no bound": "1000000"}
CHART = Path(__file__).parent.parent / "docs" / "overload.png"

_TRACKS = [{"S": f"ALBUM_{number}/TRACK_{number}"} for number in range(20)]
_ITEM = {
    "partition_key": {"S": "p1"},
    "sort_key": {"S": "INFO_"},
    "playlist_name": {"S": "Mine"},
    "playlist_version": {"N": "1"},
    "track_tokens": {"L": _TRACKS},
    "recent_writes": {"L": [{"S": "q83vEjRWeJCrze8S"}]},
}
_GET = b"GET /playlists/p1 HTTP/1.1\r\nHost: x\r\n\r\n"
_RENAME = b'{"playlist_name": "Ours"}'
_PATCH = (
    b"PATCH /playlists/p1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_RENAME), _RENAME)
)


@dataclass
class Outcome:
    """What became of the requests of one stage."""

    peak: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    lost: int = 0

    @property
    def sent(self) -> int:
        return len(self.latencies) + self.refused + self.lost

    @property
    def goodput(self) -> float:
        """The answers that came in time, as a share of the peak."""
        return sum(latency <= IN_TIME_SECONDS for latency in self.latencies) / SECONDS / self.peak

    def percentile(self, percent: int) -> float:
        if len(self.latencies) < 2:
            return float("nan")
        return quantiles(self.latencies, n=100)[percent - 1]


class Connection(asyncio.Protocol):
    """One request at a time; `answer` is its status, or None where the connection ended."""

    def __init__(self) -> None:
        self._received = b""
        self.answer: asyncio.Future[int | None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
        self._end(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if length and len(body) >= int(length):
            self._received = b""
            self._end(int(head[9:12]))

    def _end(self, status: int | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(status)

    async def send(self, request: bytes) -> int | None:
        if self.transport is None:
            return None
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


class Load:
    """Requests to the service at `url`: eight of ten read a playlist of 20 tracks, two rename it."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._random = random.Random(7)  # noqa: S311

    async def peak(self) -> float:
        """Answers a second to clients that wait for each."""
        answered, loop = 0, asyncio.get_running_loop()
        until = loop.time() + PEAK_SECONDS

        async def ask() -> None:
            nonlocal answered
            while loop.time() < until:
                status = await self._send()
                answered += status == 200

        await asyncio.gather(*(ask() for _ in range(CLOSED_LOOP_CLIENTS)))
        return answered / PEAK_SECONDS

    async def offer(self, peak: float, factor: float) -> Outcome:
        """Requests at random times, `factor` times the peak on average, whatever becomes of those before."""
        outcome, loop = Outcome(peak), asyncio.get_running_loop()
        arrival = start = loop.time()
        requests = []
        while arrival < start + SECONDS:
            arrival += self._random.expovariate(peak * factor)
            if (wait := arrival - loop.time()) > 0:
                await asyncio.sleep(wait)
            requests.append(asyncio.create_task(self._note(arrival, outcome)))
        _, late = await asyncio.wait(requests, timeout=2 * IN_TIME_SECONDS)
        for request in late:
            request.cancel()
        outcome.lost += len(late)
        return outcome

    async def _note(self, arrival: float, outcome: Outcome) -> None:
        status = await self._send()
        if status == 200:
            outcome.latencies.append(asyncio.get_running_loop().time() - arrival)
        elif status == 503:
            outcome.refused += 1
        else:
            outcome.lost += 1

    async def _send(self) -> int | None:
        async with self._places:
            connection = self._idle.pop() if self._idle else await self._connected()
            status = await connection.send(_PATCH if self._random.random() < 0.2 else _GET)
            if connection.transport is not None:
                self._idle.append(connection)
            return status

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._address.hostname or "", self._address.port or 80)
        return connection


async def _answer_from_memory(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    item = json.dumps({"Item": _ITEM}).encode()
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            body = item if b"getitem" in head else b"{}"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _serve_stub(port: int) -> None:
    async def serve() -> None:
        async with await asyncio.start_server(_answer_from_memory, "127.0.0.1", port) as server:
            await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def stub() -> Iterator[str]:
    """A DynamoDB that knows one playlist and accepts every write."""
    port = free_port()
    process = Process(target=_serve_stub, args=(port,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def main() -> None:
    stages: dict[tuple[str, float], list[Outcome]] = {(name, factor): [] for name in LIMITS for factor in FACTORS}
    with stub() as endpoint_url:
        point_sdk_at(endpoint_url, os.environ)
        os.environ |= {"PLAYLISTS_AUTH": "none", "PLAYLISTS_SKIP_TABLE_CHECK": "true", "PLAYLISTS_DRAIN_SECONDS": "0"}
        for turn, factor, name in product(range(ROUNDS), FACTORS, LIMITS):
            # On a service of its own, so that none inherits what another left behind; and beside a peak of its own,
            # because a machine is not equally fast all the time.
            environment = without(PLAYLISTS_MAX_REQUESTS_IN_FLIGHT=LIMITS[name])
            with running_playlists("serve", environment=environment) as served:
                outcome = asyncio.run(Load(served.url).offer(asyncio.run(Load(served.url).peak()), factor))
            stages[name, factor].append(outcome)
            print(f"round {turn + 1}: {name}, {factor:g} x {outcome.peak:.0f}/s: {outcome.goodput:.0%}", flush=True)
    print("\n| bound | offered | goodput | p50 | p99 | refused | lost |\n|---|---|---|---|---|---|---|")
    for (name, factor), outcomes in stages.items():
        refused, lost = (median(getattr(one, what) / one.sent for one in outcomes) for what in ("refused", "lost"))
        p50, p99 = (1_000 * median(one.percentile(percent) for one in outcomes) for percent in (50, 99))
        goodput = median(one.goodput for one in outcomes)
        print(f"| {name} | {factor:g} x | {goodput:.0%} | {p50:.0f} ms | {p99:.0f} ms | {refused:.0%} | {lost:.0%} |")
    draw(stages)


def draw(stages: dict[tuple[str, float], list[Outcome]]) -> None:
    """Goodput and latency over what is offered, both as docs/overload.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (goodput, latency) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in LIMITS:
        lines = [stages[name, factor] for factor in FACTORS]
        goodput.plot(FACTORS, [median(one.goodput for one in line) for line in lines], marker="o", label=name)
        latency.plot(
            FACTORS, [1_000 * median(one.percentile(99) for one in line) for line in lines], marker="o", label=name
        )
    goodput.set(
        title=f"Answered in {IN_TIME_SECONDS:g} s", xlabel="offered / peak", ylabel="goodput / peak", ylim=(0, 1.2)
    )
    latency.set(title="p99 of the successes", xlabel="offered / peak", ylabel="ms", yscale="log")
    for axes in (goodput, latency):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(CHART, dpi=110)


if __name__ == "__main__":
    main()
