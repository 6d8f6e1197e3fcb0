"""/playlists/{playlist_token}/plays: an atomic counter beside the playlist."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.store.dynamodb import NoTransactions
from app.store.items import Condition
from app.store.values import Item
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.engines import is_dynamodb_local
from tests.writers import Item as PlainItem
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
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_item = interruptions.put_item

    async def play_and_put(item: Item, condition: Condition) -> None:
        assert (await http.post(PLAYS)).json()["play_count"] == 1
        await put_item(item, condition)

    monkeypatch.setattr(interruptions, "put_item", play_and_put)

    renamed = await http.patch("/playlists/p1", json={"playlist_name": "New"})

    assert (renamed.status_code, renamed.json()["playlist_version"]) == (200, 2)
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


async def test_repeated_creation_keeps_the_counter(http: httpx2.AsyncClient) -> None:
    created = await http.post("/playlists", json=MINE, headers=KEY)
    plays = created.headers["location"] + "/plays"
    await http.post(plays)

    await http.post("/playlists", json=MINE, headers=KEY)

    assert (await http.get(plays)).json()["play_count"] == 1


COUNTER = {"partition_key": {"S": "p1"}, "sort_key": {"S": "PLAYS_"}}


class TestRivals:
    """Another client creates the playlist and plays it in the gaps of ours, with and without transactions."""

    @pytest.fixture(params=[True, False], ids=["transactions", "no transactions"])
    def transactions(
        self, request: pytest.FixtureRequest, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse(*_: Any, **__: Any) -> None:
            raise NoTransactions

        if not request.param:
            monkeypatch.setattr(interruptions, "delete_item_without", refuse)

    @pytest.mark.parametrize("left", [{}, {"play_count": {"N": "7"}}], ids=["no counter", "counter left behind"])
    @pytest.mark.parametrize("read", ["INFO_", "PLAYS_"])
    async def test_counter_of_a_rivals_playlist_is_kept_by_a_put_that_loses_to_it(
        self,
        http: httpx2.AsyncClient,
        transactions: None,
        interruptions: Interruptions,
        other_program: OtherProgram,
        monkeypatch: pytest.MonkeyPatch,
        left: PlainItem,
        read: str,
    ) -> None:
        if left:
            other_program.put({**COUNTER, **left})

        def create_and_play() -> None:
            other_program.put_playlist("p1")
            other_program.put({**COUNTER, "play_count": {"N": "1"}})

        once_after_a_read(interruptions, read, create_and_play, monkeypatch)

        assert code_of(await http.put("/playlists/p1", json=MINE)) == (409, "playlist-exists")
        assert (await http.get(PLAYS)).json()["play_count"] == 1

    async def test_counter_of_a_playlist_that_is_made_anew_is_kept_by_the_deletion_of_the_old_one(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        transactions: None,
        interruptions: Interruptions,
        other_program: OtherProgram,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await http.post(PLAYS)

        def create_and_play() -> None:
            other_program.put_playlist("p1")
            other_program.put({**COUNTER, "play_count": {"N": "2"}})

        once_after_a_read(interruptions, "PLAYS_", create_and_play, monkeypatch)

        assert (await http.delete("/playlists/p1")).status_code == 204
        assert (await http.get(PLAYS)).json()["play_count"] == 2

    async def test_counter_that_a_deletion_has_left_is_taken_by_the_next(
        self, http: httpx2.AsyncClient, transactions: None, other_program: OtherProgram
    ) -> None:
        other_program.put({**COUNTER, "play_count": {"N": "7"}})

        assert code_of(await http.delete("/playlists/p1")) == (404, "playlist-not-found")
        assert other_program.read("p1", "PLAYS_") is None


def once_after_a_read(
    table: Interruptions, sort_key: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Act right after the first read of the item."""
    get_item, acts = table.get_item, [act]

    async def get_and_act(partition_key: str, read_key: str) -> Item | None:
        item = await get_item(partition_key, read_key)
        if read_key == sort_key and acts:
            acts.pop()()
        return item

    monkeypatch.setattr(table, "get_item", get_and_act)


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
        raise NoTransactions

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

    @pytest.mark.parametrize(
        "count",
        [
            {"S": "many"},
            {"NULL": True},
            {"N": "1.5"},
            {"N": "0.001"},
            {"L": []},
            pytest.param(
                {"N": "9" * 38 + "0" * 80},
                marks=pytest.mark.skipif(not is_dynamodb_local(), reason="the embedded engine bounds no number"),
            ),
        ],
    )
    @pytest.mark.parametrize("headers", [{}, KEY], ids=["no key", "key"])
    async def test_count_that_cannot_be_counted_up_is_not_changed(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        count: Any,
        headers: dict[str, str],
    ) -> None:
        other_program.put({**COUNTER, "play_count": count})

        counted = await http.post(PLAYS, headers=headers)

        assert code_of(counted) == (409, "unwritable-item")
        assert "play_count" in counted.json()["detail"]
        assert (await http.get(PLAYS)).json()["play_count"] == (
            int(count["N"]) if len(count.get("N", "")) > 100 else None
        )
        assert other_program.read("p1", "PLAYS_") == {**COUNTER, "play_count": count}

    @pytest.mark.parametrize(
        ("stored", "counted"), [("1E+2", 101), (str(2**53), 2**53 + 1), ("12345678901234567890", 12345678901234567891)]
    )
    async def test_count_of_any_size_is_counted_up(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram, stored: str, counted: int
    ) -> None:
        other_program.put({**COUNTER, "play_count": {"N": stored}})

        assert (await http.post(PLAYS)).json()["play_count"] == counted
        assert (await http.get(PLAYS)).json()["play_count"] == counted
