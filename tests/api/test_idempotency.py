"""Idempotency-Key: a repeat writes nothing and is told as one."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

KEY = {"Idempotency-Key": "k1"}
Request = dict[str, Any]
RENAME: Request = {"method": "PATCH", "url": "/playlists/p1", "json": {"playlist_name": "New"}}
JSON_PATCH: Request = {
    "method": "PATCH",
    "url": "/playlists/p1",
    "content": b'[{"op": "add", "path": "/track_tokens/-", "value": "B/1"}]',
    "headers": {"Content-Type": "application/json-patch+json"},
}
APPEND: Request = {"method": "POST", "url": "/playlists/p1/tracks", "json": {"track_tokens": ["B/1"]}}
REPLACE: Request = {"method": "PUT", "url": "/playlists/p1", "json": {**MINE, "playlist_name": "New"}}
CREATE: Request = {"method": "POST", "url": "/playlists", "json": MINE}
WRITES = pytest.mark.parametrize(
    "write", [RENAME, JSON_PATCH, APPEND, REPLACE], ids=["rename", "JSON Patch", "append", "replace"]
)


@pytest.fixture
async def created(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.put("/playlists/p1", json=MINE)


async def send(http: httpx2.AsyncClient, request: Request, **headers: str) -> httpx2.Response:
    return await http.request(**{**request, "headers": {**request.get("headers", {}), **KEY, **headers}})


def is_replayed(response: httpx2.Response) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


@WRITES
async def test_repeat_writes_nothing_and_answers_with_the_current_state(
    http: httpx2.AsyncClient, created: httpx2.Response, write: Request
) -> None:
    first = await send(http, write)
    await http.patch("/playlists/p1", json={"playlist_name": "Another"})

    again = await send(http, write)

    assert (first.status_code, again.status_code) == (200, 200)
    assert not is_replayed(first)
    assert is_replayed(again)
    assert again.json() == (await http.get("/playlists/p1")).json()
    assert again.json()["playlist_version"] == 3


@WRITES
async def test_repeat_is_found_before_preconditions_are_judged(
    http: httpx2.AsyncClient, created: httpx2.Response, write: Request
) -> None:
    first = await send(http, write, **{"If-Match": created.headers["etag"]})

    again = await send(http, write, **{"If-Match": created.headers["etag"]})

    assert is_replayed(again)
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("key", ['"k1"', " k1\t"])
async def test_key_in_quotes_or_white_space_is_the_same_key(
    http: httpx2.AsyncClient, created: httpx2.Response, key: str
) -> None:
    await send(http, RENAME)

    assert is_replayed(await send(http, RENAME, **{"Idempotency-Key": key}))


@WRITES
async def test_key_with_another_payload_is_422(
    http: httpx2.AsyncClient, created: httpx2.Response, write: Request
) -> None:
    await send(http, write)
    before = await http.get("/playlists/p1")

    other = await send(http, {**RENAME, "json": {"playlist_name": "Quite another"}})

    assert code_of(other) == (422, "idempotency-key-reused")
    assert (await http.get("/playlists/p1")).json() == before.json()


async def test_other_keys_are_other_writes(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    await send(http, APPEND)

    again = await send(http, APPEND, **{"Idempotency-Key": "k2"})

    assert not is_replayed(again)
    assert again.json()["track_tokens"] == ["A/1", "A/2", "B/1", "B/1"]


@pytest.mark.parametrize("others", [15, 16])
async def test_window_is_the_last_sixteen_writes(
    http: httpx2.AsyncClient, created: httpx2.Response, others: int
) -> None:
    await send(http, APPEND)
    for number in range(others):
        await http.patch("/playlists/p1", json={"playlist_name": f"Other {number}"})

    again = await send(http, APPEND)

    assert is_replayed(again) == (others < 16)
    assert again.json()["track_tokens"].count("B/1") == (1 if others < 16 else 2)


async def test_put_that_created_is_found_again(http: httpx2.AsyncClient) -> None:
    first = await send(http, REPLACE, **{"If-None-Match": "*"})

    again = await send(http, REPLACE, **{"If-None-Match": "*"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert is_replayed(again)
    assert again.json() == first.json()


async def test_creation_is_found_by_its_token_also_past_the_window(http: httpx2.AsyncClient) -> None:
    first = await send(http, CREATE)
    for number in range(17):
        await http.patch(first.headers["location"], json={"playlist_name": f"Other {number}"})

    again = await send(http, CREATE)

    assert (first.status_code, again.status_code) == (201, 201)
    assert is_replayed(again)
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["playlist_version"] == 18


async def test_creation_with_a_used_key_and_another_payload_is_422(http: httpx2.AsyncClient) -> None:
    await send(http, CREATE)

    other = await send(http, {**CREATE, "json": {"playlist_name": "Another"}})

    assert code_of(other) == (422, "idempotency-key-reused")


async def test_creations_with_other_keys_are_other_playlists(http: httpx2.AsyncClient) -> None:
    first = await send(http, CREATE)
    second = await send(http, CREATE, **{"Idempotency-Key": "k2"})

    assert first.headers["location"] != second.headers["location"]


@pytest.mark.parametrize("write", [RENAME, APPEND, CREATE], ids=["rename", "append", "create"])
async def test_copies_of_a_request_that_race_take_effect_once(
    http: httpx2.AsyncClient, created: httpx2.Response, write: Request
) -> None:
    answers = await asyncio.gather(*(send(http, write) for _ in range(6)))

    assert all(answer.is_success for answer in answers)
    assert sum(not is_replayed(answer) for answer in answers) == 1
    path = answers[0].headers.get("location", "/playlists/p1")
    current = (await http.get(path)).json()
    assert current["playlist_version"] == (1 if write is CREATE else 2)
    assert current["track_tokens"].count("B/1") == (write is APPEND)


async def test_copies_that_make_the_same_item_to_the_millisecond_are_told_apart(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.playlists._now", lambda: "2026-11-24T09:00:00.000Z")

    answers = await asyncio.gather(*(send(http, CREATE) for _ in range(6)))

    assert sum(not is_replayed(answer) for answer in answers) == 1


async def test_copy_that_wrote_between_read_and_write_is_a_replay_not_a_conflict(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    """The copy has written from another base than this request has read, at another version."""
    copied = (await send(http, APPEND)).json()
    kept = other_program.read("p1")
    assert kept is not None
    other_program.put({**kept, "playlist_version": {"N": "7"}, "recent_writes": {"L": []}})
    interruptions.before_write = lambda: other_program.put({**kept, "playlist_version": {"N": "8"}})

    response = await send(http, APPEND)

    assert is_replayed(response)
    assert response.json() == {**copied, "playlist_version": 8}


@pytest.mark.parametrize("key", ["", "a b", "a,b", '"a', "x" * 256])
async def test_malformed_key_is_400(http: httpx2.AsyncClient, created: httpx2.Response, key: str) -> None:
    response = await send(http, RENAME, **{"Idempotency-Key": key})

    assert code_of(response) == (400, "malformed-request")
    assert "Idempotency-Key" in response.json()["detail"]


async def test_malformed_key_comes_before_an_invalid_body(http: httpx2.AsyncClient) -> None:
    response = await send(http, {**RENAME, "json": {"playlist_name": ""}}, **{"Idempotency-Key": "a b"})

    assert code_of(response) == (400, "malformed-request")


async def test_two_keys_are_400(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    response = await http.patch(
        "/playlists/p1",
        json={"playlist_name": "New"},
        headers=[("Idempotency-Key", "k1"), ("Idempotency-Key", "k2")],
    )

    assert code_of(response) == (400, "malformed-request")


async def test_deletion_takes_no_key(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    delete: Request = {"method": "DELETE", "url": "/playlists/p1"}

    assert (await send(http, delete)).status_code == 204
    assert code_of(await send(http, delete)) == (404, "playlist-not-found")


class TestOtherWriters:
    """Programs that know nothing of the window."""

    async def test_item_without_our_attributes(self, http: httpx2.AsyncClient, other_program: OtherProgram) -> None:
        other_program.put_playlist("p1")

        first, again = await send(http, APPEND), await send(http, APPEND)

        assert (is_replayed(first), is_replayed(again)) == (False, True)
        assert again.json()["track_tokens"] == ["B/1"]

    async def test_update_item_keeps_the_window(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram
    ) -> None:
        await send(http, APPEND)
        other_program.rename_in_place("p1", "Theirs")

        again = await send(http, APPEND)

        assert is_replayed(again)
        assert again.json()["playlist_name"] == "Theirs"

    async def test_put_item_ends_the_window(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram
    ) -> None:
        await send(http, APPEND)
        other_program.save("p1", "Theirs")

        again = await send(http, APPEND)

        assert not is_replayed(again)
        assert again.json()["track_tokens"] == ["A/1", "A/2", "B/1", "B/1"]
