"""/playlists/{playlist_token}/plays: an atomic counter beside the playlist."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.domain.errors import KeyedCountUnavailable
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

PLAYS = "/playlists/p1/plays"
KEY = {"Idempotency-Key": "k1"}


@pytest.fixture
async def created(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.put("/playlists/p1", json=MINE)


async def test_plays_are_counted_from_zero(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    never = await http.get(PLAYS)
    counted = [(await http.post(PLAYS)).json() for _ in range(3)]

    assert never.json() == {"playlist_token": "p1", "play_count": 0}
    assert [count["play_count"] for count in counted] == [1, 2, 3]
    assert (await http.get(PLAYS)).json() == counted[-1]


async def test_plays_at_once_are_all_counted(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    answers = await asyncio.gather(*(http.post(PLAYS) for _ in range(20)))

    assert sorted(answer.json()["play_count"] for answer in answers) == list(range(1, 21))


async def test_play_between_read_and_write_of_a_rename_is_no_conflict(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, client: Any, table_name: str
) -> None:
    counting: list[asyncio.Task[httpx2.Response]] = []
    interruptions.before_write = lambda: counting.append(asyncio.ensure_future(http.post(PLAYS)))

    renamed = await http.patch("/playlists/p1", json={"playlist_name": "New"})

    assert (await counting[0]).json()["play_count"] == 1
    assert renamed.json()["playlist_version"] == 2
    assert (await http.get(PLAYS)).json()["play_count"] == 1


async def test_counting_changes_nothing_of_the_playlist(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    await http.post(PLAYS)

    after = await http.get("/playlists/p1")
    assert (after.json(), after.headers["etag"]) == (created.json(), created.headers["etag"])


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_missing_playlist_is_404_and_gets_no_counter(
    http: httpx2.AsyncClient, other_program: OtherProgram, method: str
) -> None:
    assert (await http.request(method, PLAYS)).status_code == 404
    assert other_program.read("p1", "PLAYS_") is None


async def test_deletion_takes_the_counter_along(
    http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram
) -> None:
    await http.post(PLAYS)

    await http.delete("/playlists/p1")

    assert other_program.read("p1", "PLAYS_") is None


async def test_first_play_that_comes_after_a_deletion_is_404_and_leaves_no_counter(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    interruptions.before_write = lambda: other_program.delete("p1")

    assert code_of(await http.post(PLAYS)) == (404, "playlist-not-found")
    assert other_program.read("p1", "PLAYS_") is None


@pytest.mark.parametrize("key", [None, "k1"])
async def test_counter_that_was_left_behind_is_not_taken_over(
    http: httpx2.AsyncClient, other_program: OtherProgram, key: str | None
) -> None:
    other_program.put({"partition_key": {"S": "p1"}, "sort_key": {"S": "PLAYS_"}, "play_count": {"N": "7"}})

    await http.put("/playlists/p1", json=MINE, headers={} if key is None else {"Idempotency-Key": key})

    assert (await http.get(PLAYS)).json()["play_count"] == 0


async def test_counter_that_a_rival_has_begun_meanwhile_is_kept(
    http: httpx2.AsyncClient, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    counter = {"partition_key": {"S": "p1"}, "sort_key": {"S": "PLAYS_"}}
    other_program.put({**counter, "play_count": {"N": "7"}})

    def create_and_play() -> None:
        other_program.put_playlist("p1")
        other_program.put({**counter, "play_count": {"N": "1"}})

    interruptions.before_write = create_and_play

    assert code_of(await http.put("/playlists/p1", json=MINE)) == (409, "playlist-exists")
    assert (await http.get(PLAYS)).json()["play_count"] == 1


async def test_play_with_a_key_is_counted_once(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    answers = [await http.post(PLAYS, headers=KEY) for _ in range(3)]
    other = await http.post(PLAYS, headers={"Idempotency-Key": "k2"})

    assert [answer.json()["play_count"] for answer in answers] == [1, 1, 1]
    assert other.json()["play_count"] == 2


async def test_copies_of_a_play_with_a_key_that_race_are_counted_once(
    http: httpx2.AsyncClient, created: httpx2.Response
) -> None:
    answers = await asyncio.gather(*(http.post(PLAYS, headers=KEY) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {200}
    assert (await http.get(PLAYS)).json()["play_count"] == 1


async def test_key_with_another_playlist_is_422(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    await http.put("/playlists/p2", json=MINE)
    await http.post(PLAYS, headers=KEY)

    assert code_of(await http.post("/playlists/p2/plays", headers=KEY)) == (422, "idempotency-key-reused")


async def test_table_without_transactions_refuses_a_key_with_the_reason(
    http: httpx2.AsyncClient,
    created: httpx2.Response,
    interruptions: Interruptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise KeyedCountUnavailable

    monkeypatch.setattr(interruptions, "increment_once", refuse)

    response = await http.post(PLAYS, headers=KEY)

    assert code_of(response) == (422, "invalid-request")
    assert "transactions" in response.json()["detail"]


class TestOtherWriters:
    @pytest.mark.parametrize(
        "write",
        [
            lambda program: program.put_playlist("p1"),
            lambda program: program.save("p1", "Theirs"),
            lambda program: program.rename_in_place("p1", "Theirs"),
        ],
        ids=["without our attributes", "PutItem", "UpdateItem"],
    )
    async def test_plays_are_counted_whatever_other_programs_write(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        write: Callable[[OtherProgram], object],
    ) -> None:
        await http.post(PLAYS)
        write(other_program)

        assert (await http.post(PLAYS)).json()["play_count"] == 2

    @pytest.mark.parametrize("count", [{"S": "many"}, {"NULL": True}])
    async def test_count_that_is_no_number_reads_as_zero(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram, count: Any
    ) -> None:
        other_program.put({"partition_key": {"S": "p1"}, "sort_key": {"S": "PLAYS_"}, "play_count": count})

        assert (await http.get(PLAYS)).json()["play_count"] == 0
