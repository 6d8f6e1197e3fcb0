"""A load of many clients through the fault proxy, its history, and the verdict on it.

`python -m tests.history.load --seed 1 --seconds 10` runs an engine, the proxy and two service
processes, and exits with 1 if an answer was false. Everything is on the loopback, bounded in time.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from app.settings import load_settings
from app.store.client import open_client
from app.store.embedded import point_sdk_at
from app.store.items import RECENT_WRITES_KEPT
from app.store.table import create_table
from tests.engines import engine
from tests.faults.proxy import FaultProxy, RandomPlan
from tests.servers import running_playlists
from tests.writers import OtherProgram

TABLE = "music_items"
CLIENTS = 12
# The first are never deleted, so their histories are long; the others are made and deleted all the time.
LASTING = ("lasting-1", "lasting-2", "lasting-3")
PASSING = ("passing-1", "passing-2")
DEADLINE_SECONDS = 1.5
# Beyond the contract's 10%: this machine has two cores, and the load, the proxy and two services on them.
SLACK_SECONDS = 0.75


@dataclass(slots=True)
class Event:
    """One request and its answer, in the words of the checker (tests/history/main.go)."""

    playlist: str
    client: int
    kind: str
    name: str = ""
    track: str = ""
    if_match: str = ""
    expected_version: int | None = None
    call: int = 0
    # Set when it is answered.
    returned: int = 0
    status: int = 0
    code: str = ""
    seen: dict[str, Any] | None = None

    def as_json(self) -> str:
        members = asdict(self)
        members["return"] = members.pop("returned")
        return json.dumps(members)


class Client:
    """One client: it remembers what it saw last of each playlist and works from that."""

    def __init__(self, number: int, http: httpx2.AsyncClient, seed: int) -> None:
        self._number = number
        self._http = http
        self._random = random.Random(f"{seed} {number}")
        self._seen: dict[str, dict[str, Any]] = {}
        self._writes = 0
        self.events: list[Event] = []

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            if self._random.random() < 0.6:
                await self._request(self._on_a_lasting_one())
            else:
                await self._request(self._on_a_passing_one())

    async def read(self, playlist: str) -> None:
        await self._request(Event(playlist, self._number, "read"))

    def _on_a_lasting_one(self) -> Event:
        playlist = self._random.choice(LASTING)
        return Event(playlist, self._number, "read") if self._random.random() < 0.3 else self._edit(playlist)

    def _on_a_passing_one(self) -> Event:
        playlist = self._random.choice(PASSING)
        match self._random.choices(("read", "edit", "create", "delete"), (2, 4, 3, 2))[0]:
            case "read":
                return Event(playlist, self._number, "read")
            case "edit":
                return self._edit(playlist)
            case "create":
                return Event(playlist, self._number, "create", name=self._unique(), track=f"T/{self._unique()}")
        guarded = self._random.random() < 0.5
        return Event(playlist, self._number, "delete", if_match=self._tag(playlist) if guarded else "")

    def _edit(self, playlist: str) -> Event:
        event = Event(playlist, self._number, "edit")
        what = self._random.random()
        if what < 0.7:
            event.name = self._unique()
        if what > 0.5:
            event.track = f"T/{self._unique()}"
        match self._random.choice(("", "if_match", "version")):
            case "if_match":
                event.if_match = self._tag(playlist)
            case "version":
                event.expected_version = self._seen.get(playlist, {}).get("version")
        return event

    def _unique(self) -> str:
        self._writes += 1
        return f"{self._number}.{self._writes}"

    def _tag(self, playlist: str) -> str:
        tag: str = self._seen.get(playlist, {}).get("tag", "")
        return tag

    async def _request(self, event: Event) -> None:
        self.events.append(event)
        event.call = time.monotonic_ns()
        try:
            response = await self._send(event)
        except httpx2.HTTPError:
            response = None
        event.returned = time.monotonic_ns()
        if response is None:
            return
        event.status = response.status_code
        body = response.json() if response.content else {}
        event.code = body.get("code", "")
        if response.status_code in (200, 201):
            event.seen = _seen(body, response.headers["etag"])
        elif body.get("current") is not None:
            event.seen = _seen(body["current"], body["current_etag"])
        if event.seen is not None:
            self._seen[event.playlist] = event.seen

    async def _send(self, event: Event) -> httpx2.Response:
        path = f"/playlists/{event.playlist}"
        headers = {"If-Match": event.if_match} if event.if_match else {}
        match event.kind:
            case "read":
                return await self._http.get(path)
            case "delete":
                return await self._http.delete(path, headers=headers)
            case "create":
                body = {"playlist_name": event.name, "track_tokens": [event.track]}
                return await self._http.put(path, json=body, headers={"If-None-Match": "*"})
        patch: dict[str, Any] = {}
        if event.name:
            patch["playlist_name"] = event.name
        if event.track:
            patch["track_tokens"] = [event.track]
        if event.expected_version is not None:
            patch["playlist_version"] = event.expected_version
        return await self._http.patch(path, json=patch, headers=headers)


def _seen(playlist: dict[str, Any], entity_tag: str) -> dict[str, Any]:
    [track] = playlist["track_tokens"]
    return {
        "version": playlist["playlist_version"],
        "tag": entity_tag,
        "name": playlist["playlist_name"],
        "track": track,
    }


async def run_load(*, seed: int, seconds: float, fault_rate: float) -> tuple[list[Event], list[str]]:
    """Run the load; return its history, and what was false outside of any answer."""
    settings = load_settings(auth="none", table_name=TABLE)
    environment = os.environ | {
        "PLAYLISTS_AUTH": "none",
        "PLAYLISTS_READ_TIMEOUT_SECONDS": "0.4",
        "PLAYLISTS_REQUEST_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
        "PLAYLISTS_RETRY_BUDGET": "1000",
    }
    with ExitStack() as processes:
        engine_url = processes.enter_context(engine()[1])
        point_sdk_at(engine_url, os.environ)
        async with open_client(settings) as client:
            await create_table(client, TABLE)
        async with FaultProxy(engine_url).running() as proxy:
            point_sdk_at(proxy.url, environment)
            urls = await asyncio.to_thread(
                lambda: [
                    processes.enter_context(running_playlists("serve", environment=environment)).url for _ in range(2)
                ]
            )
            events = await _drive(urls, proxy, seed=seed, seconds=seconds, fault_rate=fault_rate)
        table = OtherProgram(engine_url, TABLE)
        windows = {
            playlist: len((table.read(playlist) or {}).get("recent_writes", {"L": []})["L"]) for playlist in LASTING
        }
    broken = [
        f"{playlist} keeps {size} write tokens" for playlist, size in windows.items() if size > RECENT_WRITES_KEPT
    ]
    longest = max(event.returned - event.call for event in events) / 1e9
    if longest > DEADLINE_SECONDS * 1.1 + SLACK_SECONDS:
        broken.append(f"a request took {longest:.2f} seconds, its deadline is {DEADLINE_SECONDS}")
    return events, broken


async def _drive(urls: list[str], proxy: FaultProxy, *, seed: int, seconds: float, fault_rate: float) -> list[Event]:
    async with (
        httpx2.AsyncClient(base_url=urls[0], timeout=30) as one,
        httpx2.AsyncClient(base_url=urls[1], timeout=30) as two,
    ):
        first = Client(CLIENTS, one, seed)
        for playlist in LASTING:
            await first._request(Event(playlist, CLIENTS, "create", name=first._unique(), track=f"T/{first._unique()}"))
        plan = RandomPlan(seed, rate=fault_rate)
        proxy.plan = plan
        clients = [Client(number, (one, two)[number % 2], seed) for number in range(CLIENTS)]
        until = time.monotonic() + seconds
        await asyncio.gather(*(client.run(until) for client in clients))
        proxy.plan = RandomPlan(seed, rate=0)
        for playlist in (*LASTING, *PASSING):
            await first.read(playlist)
        print("faults:", dict(plan.drawn.most_common()))
        return [event for client in (*clients, first) for event in client.events]


def build_checker(folder: Path) -> Path:
    binary = folder / "history"
    subprocess.run(["go", "build", "-o", binary, "."], cwd=Path(__file__).parent, check=True)
    return binary


def verdict(checker: Path, events: Iterable[Event]) -> tuple[bool, str]:
    """Whether every answer was true, and what the checker says."""
    history = "\n".join(event.as_json() for event in sorted(events, key=lambda event: event.call))
    finished = subprocess.run([checker], input=history, capture_output=True, text=True, timeout=600, check=False)
    if finished.returncode not in (0, 1):
        raise RuntimeError(finished.stdout + finished.stderr)
    return finished.returncode == 0, finished.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--fault-rate", type=float, default=0.06)
    parser.add_argument("--checker", type=Path, help="the checker's binary; built if not given")
    arguments = parser.parse_args()
    folder = Path(__file__).parent
    checker = arguments.checker or build_checker(folder)
    events, broken = asyncio.run(
        run_load(seed=arguments.seed, seconds=arguments.seconds, fault_rate=arguments.fault_rate)
    )
    print("answers:", dict(Counter(f"{event.kind} {event.status or 'lost'}" for event in events).most_common()))
    true, said = verdict(checker, events)
    print(said, end="")
    for line in broken:
        print("broken:", line)
    sys.exit(0 if true and not broken else 1)


if __name__ == "__main__":
    main()
