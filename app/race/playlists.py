"""One playlist as the writers of a race reach it: over HTTP, or naively on the table."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import aiohttp

from app.race.chain import Outcome, State
from app.store.embedded import free_port
from app.store.items import StoredPlaylist
from app.store.values import Item, number, string, string_list

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

_ANSWER_SECONDS = 30
_START_SECONDS = 30
_STOP_SECONDS = 30
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.5
_PASSING = (429, 500, 502, 503, 504)
_LONGEST_BACK_OFF_SECONDS = 5.0
_RECOVERED = "playlists_own_writes_recovered_total"


class RaceImpossible(Exception):
    """One line: why there can be no race, or no picture of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`made` is the state that an acknowledgement says was made."""

    outcome: Outcome
    made: State | None = None
    retry_after_seconds: float = 0.0


class RacedPlaylist(Protocol):
    """One playlist as its writers reach it."""

    token: str

    async def read(self) -> State: ...

    async def rename(self, name: str, base: State) -> Answer:
        """Attempt it once, on the state that was read."""
        ...

    async def recovered(self) -> int | None:
        """How many writes the service has recovered whose answer was lost; None if nobody tells."""
        ...


class PlaylistOverHTTP:
    """A playlist of the service, renamed with If-Match."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._service = url
        self._url = f"{url}/playlists/{quote(token, safe='')}"
        self.token = token

    async def create(self) -> None:
        """Under a token that nobody else knows, so that a repeat which finds it there has found its own."""
        content = {"json": {"playlist_name": "Race", "track_tokens": []}, "headers": {"If-None-Match": "*"}}
        await self._request_patiently("PUT", (201, 412), **content)

    async def delete(self) -> None:
        with suppress(aiohttp.ClientError, TimeoutError):
            await _request(self._http, "DELETE", self._url, headers={"If-Match": "*"})

    async def read(self) -> State:
        headers, body = await self._request_patiently("GET", (200,))
        return _state(body, headers.get("ETag"))

    async def _request_patiently(
        self, method: str, expected: tuple[int, ...], **content: Any
    ) -> tuple[Mapping[str, str], dict[str, Any]]:
        """Again after a failure that may pass: a service that is started anew is worth to be waited for."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                status, headers, body = await _request(self._http, method, self._url, **content)
            except (aiohttp.ClientError, TimeoutError) as error:
                if attempt == _ATTEMPTS:
                    raise _silent(self._service, error) from error
            else:
                if status in expected:
                    return headers, body
                if status not in _PASSING or attempt == _ATTEMPTS:
                    raise _unexpected(method, self._url, status, body)
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    async def rename(self, name: str, base: State) -> Answer:
        content = {"json": {"playlist_name": name}, "headers": {"If-Match": base.entity_tag}}
        try:
            status, headers, body = await _request(self._http, "PATCH", self._url, **content)
        except (aiohttp.ClientError, TimeoutError):
            return Answer(Outcome.UNKNOWN)
        match status:
            case 200:
                return Answer(Outcome.ACKNOWLEDGED, _state(body, headers.get("ETag")))
            case 412 if body.get("current") and body.get("current_etag") not in (None, base.entity_tag):
                return Answer(Outcome.CONFLICT)
            case 429 | 503:
                return Answer(Outcome.REFUSED, retry_after_seconds=_retry_after(headers))
            case 500 | 502 | 504:
                return Answer(Outcome.UNKNOWN)
        raise _unexpected("PATCH", self._url, status, body)

    async def recovered(self) -> int | None:
        with suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with self._http.get(f"{self._service}/metrics") as response:
                for line in (await response.text()).splitlines():
                    name, _, value = line.partition(" ")
                    if name == _RECOVERED:
                        return int(float(value))
        return None


class NaivePlaylist:
    """A playlist on the table, renamed as in many tutorials: GetItem, then PutItem without a condition."""

    def __init__(self, client: "DynamoDBClient", table_name: str, token: str) -> None:
        self._client = client
        self._table_name = table_name
        self._key = {"partition_key": string(token), "sort_key": string("INFO_")}
        self.token = token

    async def create(self) -> None:
        await self._put(State(1, "", "Race"))

    async def delete(self) -> None:
        key: Any = self._key
        await self._client.delete_item(TableName=self._table_name, Key=key)

    async def read(self) -> State:
        key: Any = self._key
        item: Item = (await self._client.get_item(TableName=self._table_name, Key=key))["Item"]  # type: ignore[assignment]
        playlist = StoredPlaylist.from_item(item).playlist
        return State(playlist.playlist_version or 0, "", playlist.playlist_name)

    async def rename(self, name: str, base: State) -> Answer:
        made = State(base.version + 1, "", name)
        await self._put(made)
        return Answer(Outcome.ACKNOWLEDGED, made)

    async def recovered(self) -> int | None:
        return None

    async def _put(self, state: State) -> None:
        item: Any = {
            **self._key,
            "playlist_name": string(state.name),
            "playlist_version": number(state.version),
            "track_tokens": string_list(()),
        }
        await self._client.put_item(TableName=self._table_name, Item=item)


@asynccontextmanager
async def playlist_over_http(
    url: str, playlist_token: str | None, *, bearer: str | None
) -> AsyncIterator[PlaylistOverHTTP]:
    """The playlist of that token, or one of the race's own that is deleted at the end."""
    url = url.rstrip("/")
    headers = {"Accept": "application/json, application/problem+json"}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        try:
            await _request(http, "GET", f"{url}/livez")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _silent(url, error) from error
        if playlist_token is not None:
            yield PlaylistOverHTTP(http, url, playlist_token)
            return
        # Under a token of our own choice, so that it can be deleted also if its answer is not waited for.
        playlist = PlaylistOverHTTP(http, url, f"race-{secrets.token_hex(8)}")
        try:
            await playlist.create()
            yield playlist
        finally:
            await playlist.delete()


@asynccontextmanager
async def naive_playlist(client: "DynamoDBClient", table_name: str) -> AsyncIterator[NaivePlaylist]:
    """A playlist for naive writers alone, which is deleted at the end."""
    playlist = NaivePlaylist(client, table_name, f"naive-race-{secrets.token_hex(8)}")
    await playlist.create()
    try:
        yield playlist
    finally:
        await playlist.delete()


@contextmanager
def running_service() -> Iterator[str]:
    """Run `playlists serve` in a process of its own, on the table that the environment names; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as output:
        # A session of its own, so that Ctrl-C ends the race first and its playlist is deleted.
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "app", "serve", "--port", str(port)],
            # No load balancer looks at it, so there is nobody to drain for.
            env=os.environ | {"PLAYLISTS_AUTH": "none", "PLAYLISTS_DRAIN_SECONDS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    raise RaceImpossible(f"the service did not start: {output.read().decode().strip()[-500:]}")
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _request(
    http: aiohttp.ClientSession, method: str, url: str, **content: Any
) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    async with http.request(method, url, **content) as response:
        text = await response.text()
        try:
            body = json.loads(text or "{}")
        except ValueError:
            body = None
        return response.status, response.headers, body if isinstance(body, dict) else {}


def _state(body: dict[str, Any], entity_tag: str | None) -> State:
    try:
        version, name = body["playlist_version"], body["playlist_name"]
    except KeyError:
        entity_tag = None
    if entity_tag is None:
        raise RaceImpossible("an answer shows no playlist with its entity-tag, so this may not be the playlist service")
    # A gateway that compresses makes the header's tag a weak one.
    # A playlist of another program may have no version yet; its first write makes 1.
    return State(version or 0, entity_tag.removeprefix("W/"), name)


def _silent(url: str, error: Exception) -> RaceImpossible:
    return RaceImpossible(f"{url} does not answer: {error}")


def _unexpected(method: str, url: str, status: int, body: dict[str, Any]) -> RaceImpossible:
    told = body.get("detail") or "no problem details, so this may not be the playlist service"
    return RaceImpossible(f"{method} {url} was answered {status}: {' '.join(str(told).split())}")


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(float(headers.get("Retry-After", 1)), _LONGEST_BACK_OFF_SECONDS)
    except ValueError:
        return 1.0


def _is_ready(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), opener.open(f"{url}/readyz", timeout=5):
        return True
    return False
