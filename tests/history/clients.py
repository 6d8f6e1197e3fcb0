"""The clients of the load: what each asks for, and what it is answered, as a history."""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx2
from botocore.exceptions import BotoCoreError, ClientError

from app.store.items import StoredPlaylist
from app.store.values import encoded_item
from tests.writers import Item, OtherProgram

# The first are never deleted, so their histories are long; the last of them is written by another
# program too. The passing one is made and deleted all the time.
LASTING = ("lasting-1", "lasting-2", "shared-1")
SHARED = LASTING[-1]
PASSING = "passing"


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

    async def run(self, turns: Iterator[int]) -> None:
        """Make requests until the turns, shared with the other clients, are used up."""
        for _ in turns:
            if self._random.random() < 0.6:
                await self._request(self._on_a_lasting_one())
            else:
                await self._request(await self._on_a_passing_one())

    async def create(self, playlist: str) -> None:
        await self._request(self._creation(playlist))

    async def read(self, playlist: str) -> None:
        await self._request(Event(playlist, self._number, "read"))

    def _on_a_lasting_one(self) -> Event:
        playlist = self._random.choice(LASTING)
        return Event(playlist, self._number, "read") if self._random.random() < 0.3 else self._edit(playlist)

    async def _on_a_passing_one(self) -> Event:
        playlist = PASSING
        match self._random.choices(("read", "edit", "create", "delete"), (2, 4, 3, 2))[0]:
            case "read":
                return Event(playlist, self._number, "read")
            case "edit":
                return self._edit(playlist)
            case "create":
                return self._creation(playlist)
        if self._random.random() < 0.3:
            return Event(playlist, self._number, "delete")
        await self.read(playlist)
        return Event(playlist, self._number, "delete", if_match=self._tag(playlist))

    def _creation(self, playlist: str) -> Event:
        return Event(playlist, self._number, "create", name=self._unique(), track=f"T/{self._unique()}")

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


class OtherProgramClient:
    """Another program that renames the shared playlist now and then, past the service."""

    NUMBER = 1_000

    def __init__(self, program: OtherProgram, seed: int) -> None:
        self._program = program
        self._random = random.Random(f"{seed} other program")
        self.events: list[Event] = []

    async def run(self) -> None:
        """Write until cancelled."""
        for number in itertools.count():
            write = self._random.choice((self._program.save, self._program.rename_in_place))
            await self._write(write, f"other.{number}")
            await asyncio.sleep(self._random.uniform(0, 0.2))

    async def _write(self, write: Callable[[str, str], Item | None], name: str) -> None:
        event = Event(SHARED, self.NUMBER, "edit", name=name, call=time.monotonic_ns())
        self.events.append(event)
        # Where it is not answered, or cancelled, the event says so: nobody knows whether it was written.
        event.returned = event.call
        try:
            item = await asyncio.to_thread(write, SHARED, name)
        except (BotoCoreError, ClientError):
            item = None
        else:
            if item is None:
                self.events.remove(event)
        event.returned = time.monotonic_ns()
        if item is not None:
            playlist = StoredPlaylist.from_item(encoded_item(item)).playlist
            event.status = 200
            event.seen = _seen(json.loads(playlist.representation), playlist.entity_tag)


def _seen(playlist: dict[str, Any], entity_tag: str) -> dict[str, Any]:
    [track] = playlist["track_tokens"]
    return {
        "version": playlist["playlist_version"],
        "tag": entity_tag,
        "name": playlist["playlist_name"],
        "track": track,
    }
