"""A load of many clients through the fault proxy, its history, and the verdict on it.

`python -m tests.history.load --seeds 1 2 3 --requests 4000` runs, for each seed, an engine, the
proxy and a service of two workers. Workers are killed in mid-flight all the time, the engine once,
to be started again on its files. Exits with 1 if an answer was false. Everything is on the
loopback, bounded in number and time.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from app.store.client import open_patient_client
from app.store.embedded import point_sdk_at
from app.store.items import RECENT_WRITES_KEPT
from app.store.table import create_table
from tests.engines import DynamoDBLocal
from tests.faults.proxy import APPLIED_AND_LOST, NOT_APPLIED_AND_UNKNOWN, REFUSALS, FaultProxy, RandomPlan
from tests.history.clients import LASTING, PASSING, Client, Event, OtherProgramClient
from tests.servers import Served, running_playlists
from tests.writers import OtherProgram

TABLE = "music_items"
CLIENTS = 12
DEADLINE_SECONDS = 1.5
TOO_LONG = "the longest request took"
# Beyond the contract's 10%, which tests/faults hold the service to: here the load, the proxy, the engine
# and workers that start share two cores, and requests wait for them.
SLACK_SECONDS = 2
# Of even seeds and of odd ones. Where it is long, nothing but the deadline ends an attempt.
READ_TIMEOUTS_SECONDS = (10, 0.4)
REQUIRED_FAULTS = tuple(fault.name for fault in (*APPLIED_AND_LOST, *NOT_APPLIED_AND_UNKNOWN, *REFUSALS))
_LONGEST_RUN_SECONDS = 240


@dataclass(slots=True)
class Run:
    """What came of one seed."""

    events: list[Event]
    faults: Counter[str]
    broken: list[str] = field(default_factory=list)

    def unknown(self) -> list[Event]:
        return [event for event in self.events if event.kind != "read" and event.status in (0, 500, 504)]

    def unknown_seen_later(self) -> int:
        """How many writes of unknown outcome were applied for sure: another answer shows what they wrote."""
        shown = {text for event in self.events if event.seen for text in (event.seen["name"], event.seen["track"])}
        return sum(1 for event in self.unknown() if {event.name, event.track} & shown)

    def longest(self) -> float:
        """The longest time that a request to the service took, answered or not, in seconds."""
        requests = (event for event in self.events if event.client != OtherProgramClient.NUMBER)
        return max(event.returned - event.call for event in requests) / 1e9

    def was_disturbed(self, *, killing: bool) -> bool:
        """Whether all happened that the run is there for."""
        kills = ("worker killed", "engine killed") if killing else ()
        statuses = {event.status for event in self.events}
        others = any(event.client == OtherProgramClient.NUMBER and event.status for event in self.events)
        return others and {409, 412, 504} <= statuses and all(self.faults[name] for name in (*kills, *REQUIRED_FAULTS))


async def run_load(*, seed: int, requests: int, fault_rate: float, kill_every: float) -> Run:
    """Run the load of one seed; `kill_every` is in seconds, 0 for never."""
    environment = os.environ | {
        "PLAYLISTS_AUTH": "none",
        "PLAYLISTS_CONNECT_TIMEOUT_SECONDS": "0.2",
        "PLAYLISTS_READ_TIMEOUT_SECONDS": str(READ_TIMEOUTS_SECONDS[seed % 2]),
        "PLAYLISTS_REQUEST_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
        "PLAYLISTS_MAX_ATTEMPTS": "8",
        "PLAYLISTS_RETRY_BUDGET": "1000",
    }
    with ExitStack() as processes:
        engine = DynamoDBLocal(Path(processes.enter_context(tempfile.TemporaryDirectory())))
        processes.enter_context(engine.running())
        point_sdk_at(engine.url, os.environ)
        async with open_patient_client() as client:
            await create_table(client, TABLE)
        async with FaultProxy(engine.url).running() as proxy:
            point_sdk_at(proxy.url, environment)
            service = await asyncio.to_thread(
                lambda: processes.enter_context(running_playlists("serve", "--workers", "2", environment=environment))
            )
            plan = RandomPlan(seed, rate=fault_rate)
            load = _Load(service, engine, proxy, plan, seed=seed, kill_every=kill_every)
            events = await asyncio.wait_for(load.run(requests), _LONGEST_RUN_SECONDS)
        run = Run(events, plan.drawn + load.kills)
        table = OtherProgram(engine.url, TABLE)
        for playlist in LASTING:
            window = (table.read(playlist) or {}).get("recent_writes", {"L": []})["L"]
            if len(window) > RECENT_WRITES_KEPT:
                run.broken.append(f"{playlist} keeps {len(window)} write tokens")
    if not run.was_disturbed(killing=kill_every > 0):
        run.broken.append(f"not all happened that was to be survived: {dict(run.faults)}")
    if run.longest() > DEADLINE_SECONDS * 1.1 + SLACK_SECONDS:
        run.broken.append(f"{TOO_LONG} {run.longest():.2f} seconds, its deadline is {DEADLINE_SECONDS}")
    return run


class _Load:
    def __init__(
        self,
        service: Served,
        engine: DynamoDBLocal,
        proxy: FaultProxy,
        plan: RandomPlan,
        *,
        seed: int,
        kill_every: float,
    ) -> None:
        self._service = service
        self._engine = engine
        self._proxy = proxy
        self._plan = plan
        self._seed = seed
        self._kill_every = kill_every
        self.kills: Counter[str] = Counter()

    async def run(self, requests: int) -> list[Event]:
        other = OtherProgramClient(OtherProgram(self._engine.url, TABLE), self._seed)
        async with httpx2.AsyncClient(base_url=self._service.url, timeout=30) as http:
            first = Client(CLIENTS, http, self._seed)
            for playlist in LASTING:
                await first.create(playlist)
            faults, self._proxy.plan = self._proxy.plan, self._plan
            clients = [Client(number, http, self._seed) for number in range(CLIENTS)]
            disturbances = [asyncio.create_task(other.run())]
            if self._kill_every:
                disturbances += [asyncio.create_task(self._kill_workers()), asyncio.create_task(self._kill_engine())]
            turns = iter(range(requests))
            await asyncio.gather(*(client.run(turns) for client in clients))
            for task in disturbances:
                task.cancel()
            for ended in await asyncio.gather(*disturbances, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended
            self._proxy.plan = faults
            for playlist in (*LASTING, PASSING):
                await first.read(playlist)
        histories = [client.events for client in (*clients, first)]
        return [event for events in (*histories, other.events) for event in events]

    async def _kill_workers(self) -> None:
        chance = random.Random(f"{self._seed} kills")
        started = 2
        while True:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * self._kill_every)
            # With no worker left, requests would wait for one, and take longer than a worker may.
            starts = self._service.output().count("Application startup complete")
            workers = await asyncio.to_thread(self._service.workers)
            if starts < started or len(workers) < 2:
                continue
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                started = starts + 1
                self.kills["worker killed"] += 1

    async def _kill_engine(self) -> None:
        await asyncio.sleep(1.5 * self._kill_every)
        self._engine.kill()
        self.kills["engine killed"] += 1
        # The port stays its own, so a start that is not waited for would be a second engine.
        await asyncio.shield(asyncio.to_thread(self._engine.start))


def build_checker(folder: Path) -> Path:
    binary = folder / "history"
    subprocess.run(["go", "build", "-o", binary, "."], cwd=Path(__file__).parent, check=True)
    return binary


def as_lines(events: list[Event]) -> str:
    """The history as the checker reads it."""
    return "\n".join(event.as_json() for event in sorted(events, key=lambda event: event.call))


def verdict(checker: Path, events: list[Event]) -> list[str]:
    """What the checker finds false in the history, one line each."""
    finished = subprocess.run(
        [checker], input=as_lines(events), capture_output=True, text=True, timeout=600, check=False
    )
    if finished.returncode not in (0, 1):
        raise RuntimeError(finished.stdout + finished.stderr)
    broken = [line.removeprefix("broken: ") for line in finished.stdout.splitlines() if line.startswith("broken: ")]
    assert bool(broken) == bool(finished.returncode), finished.stdout
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--requests", type=int, default=4_000, help="of each seed")
    parser.add_argument("--fault-rate", type=float, default=0.06)
    parser.add_argument("--kill-every", type=float, default=3, help="seconds between kills of a worker; 0: none")
    parser.add_argument("--checker", type=Path, help="the checker's binary; built if not given")
    parser.add_argument("--keep", type=Path, help="folder to write histories with false answers to")
    arguments = parser.parse_args()
    checker = arguments.checker or build_checker(Path(__file__).parent)
    answers: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    unknown = seen_later = broken = 0
    longest = 0.0
    for seed in arguments.seeds:
        run = asyncio.run(
            run_load(
                seed=seed,
                requests=arguments.requests,
                fault_rate=arguments.fault_rate,
                kill_every=arguments.kill_every,
            )
        )
        run.broken += verdict(checker, run.events)
        print(f"seed {seed}: {len(run.events)} requests, {len(run.unknown())} of unknown outcome", flush=True)
        for line in run.broken:
            print("broken:", line)
        if run.broken and arguments.keep is not None:
            arguments.keep.mkdir(exist_ok=True)
            kept = arguments.keep / f"seed-{seed}.jsonl"
            kept.write_text(as_lines(run.events))
            print("history kept in", kept)
        answers += Counter(f"{event.kind} {event.status or 'lost'}" for event in run.events)
        faults += run.faults
        unknown += len(run.unknown())
        seen_later += run.unknown_seen_later()
        broken += len(run.broken)
        longest = max(longest, run.longest())
    passed = faults.pop("NONE", 0)
    print("requests", answers.total())
    print("answers", dict(answers.most_common()))
    print("calls to DynamoDB", passed + faults.total(), "of them faulty", dict(faults.most_common()))
    print("writes of unknown outcome", unknown, "of them seen applied", seen_later)
    print(f"longest request {longest:.2f} s, deadline {DEADLINE_SECONDS} s")
    print("false answers", broken)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
