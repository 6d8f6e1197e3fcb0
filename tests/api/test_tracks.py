"""POST /playlists/{playlist_token}/tracks: insertions, and appends that commute."""

import asyncio
from typing import Any

import httpx2
import pytest

from app.settings import Settings, load_settings
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

TRACKS = "/playlists/p1/tracks"


@pytest.fixture
async def created(http: httpx2.AsyncClient) -> httpx2.Response:
    """The answer that created p1 with the tracks A/1 and A/2."""
    return await http.put("/playlists/p1", json=MINE)


async def insert(http: httpx2.AsyncClient, *track_tokens: str, headers: Any = None, **members: Any) -> httpx2.Response:
    return await http.post(TRACKS, json={"track_tokens": track_tokens, **members}, headers=headers)


async def test_tracks_are_appended(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    response = await insert(http, "B/1", "A/1")

    assert response.status_code == 200
    assert response.json()["track_tokens"] == ["A/1", "A/2", "B/1", "A/1"]
    assert response.json()["playlist_version"] == 2
    assert (await http.get("/playlists/p1")).headers["etag"] == response.headers["etag"]


@pytest.mark.parametrize(
    ("position", "tracks"),
    [(0, ["B/1", "A/1", "A/2"]), (1, ["A/1", "B/1", "A/2"]), (2, ["A/1", "A/2", "B/1"]), (2.0, ["A/1", "A/2", "B/1"])],
)
async def test_tracks_are_inserted_before_the_position(
    http: httpx2.AsyncClient, created: httpx2.Response, position: float, tracks: list[str]
) -> None:
    assert (await insert(http, "B/1", position=position)).json()["track_tokens"] == tracks


async def test_position_beyond_the_end_is_409_with_the_playlist(
    http: httpx2.AsyncClient, created: httpx2.Response
) -> None:
    response = await insert(http, "B/1", position=3)

    assert code_of(response) == (409, "patch-not-applicable")
    assert response.json()["current"] == created.json()


async def test_duplicates_are_skipped_if_asked_and_then_nothing_may_be_left_to_write(
    http: httpx2.AsyncClient, created: httpx2.Response
) -> None:
    some = await insert(http, "A/1", "B/1", "B/1", on_duplicate="skip")
    none = await insert(http, "A/1", "B/1", on_duplicate="skip")

    assert some.json()["track_tokens"] == ["A/1", "A/2", "B/1"]
    assert none.headers["etag"] == some.headers["etag"]


async def test_duplicates_are_rejected_if_asked(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    response = await insert(http, "B/1", "A/2", on_duplicate="reject")

    assert code_of(response) == (409, "duplicate-track")
    assert "A/2" in response.json()["detail"]
    assert response.json()["current"] == created.json()
    assert (await http.get("/playlists/p1")).json() == created.json()


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"track_tokens": []}, "/track_tokens"),
        ({"track_tokens": ["A"]}, "/track_tokens/0"),
        ({"position": -1}, "/position"),
        ({"position": 10**9}, "/position"),
        ({"position": None}, "/position"),
        ({"position": "0"}, "/position"),
        ({"on_duplicate": "merge"}, "/on_duplicate"),
        ({"playlist_version": 1}, "/playlist_version"),
    ],
)
async def test_unfit_insertion_is_422(
    http: httpx2.AsyncClient, created: httpx2.Response, members: dict[str, Any], pointer: str
) -> None:
    response = await http.post(TRACKS, json={"track_tokens": ["B/1"], **members})

    assert code_of(response) == (422, "invalid-request")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_missing_playlist_is_404(http: httpx2.AsyncClient) -> None:
    assert code_of(await insert(http, "B/1")) == (404, "playlist-not-found")


async def test_append_that_loses_to_another_writer_is_made_on_what_that_one_left(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

    response = await insert(http, "B/1")

    playlist = response.json()
    assert response.status_code == 200
    assert (playlist["playlist_name"], playlist["playlist_version"]) == ("Rival", 3)
    assert playlist["track_tokens"] == ["A/1", "A/2", "B/1"]


async def test_append_that_loses_to_a_deletion_is_404(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    interruptions.before_write = lambda: other_program.delete("p1")

    assert code_of(await insert(http, "B/1")) == (404, "playlist-not-found")


async def test_insertion_at_a_position_that_loses_is_409(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

    response = await insert(http, "B/1", position=0)

    assert code_of(response) == (409, "edit-conflict")
    assert response.json()["current"]["playlist_name"] == "Rival"


async def test_append_with_a_precondition_that_loses_is_412(
    http: httpx2.AsyncClient, created: httpx2.Response, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

    response = await insert(http, "B/1", headers={"If-Match": created.headers["etag"]})

    assert code_of(response) == (412, "precondition-failed")
    assert response.json()["changed"] == ["playlist_name", "playlist_version"]


class TestBound:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, append_attempts=3, retry_base_delay_seconds=0.001)

    async def test_append_that_always_loses_is_a_conflict_in_the_end(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        interruptions: Interruptions,
        other_program: OtherProgram,
    ) -> None:
        rivals = 0

        def rename_and_come_again() -> None:
            nonlocal rivals
            rivals += 1
            other_program.rename_in_place("p1", f"Rival {rivals}")
            interruptions.before_write = rename_and_come_again

        interruptions.before_write = rename_and_come_again

        response = await insert(http, "B/1")

        assert code_of(response) == (409, "edit-conflict")
        assert rivals == 3
        assert response.json()["current"]["playlist_name"] == "Rival 3"


async def test_appends_at_once_all_get_in(http: httpx2.AsyncClient, created: httpx2.Response) -> None:
    answers = await asyncio.gather(*(insert(http, f"B/{number}") for number in range(12)))

    assert [answer.status_code for answer in answers] == [200] * 12
    tracks = (await http.get("/playlists/p1")).json()["track_tokens"]
    assert tracks[:2] == ["A/1", "A/2"]
    assert sorted(tracks[2:]) == sorted(f"B/{number}" for number in range(12))


class TestPreconditionRequired:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, require_precondition=True)

    async def test_insertion_needs_none(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        assert (await insert(http, "B/1")).status_code == 200


class TestOtherWriters:
    async def test_append_to_an_item_without_our_attributes(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", genre_name={"S": "Rock"})

        response = await insert(http, "B/1")

        item = other_program.read("p1")
        assert response.json()["track_tokens"] == ["B/1"]
        assert item is not None
        assert item["genre_name"] == {"S": "Rock"}
        assert len(item["recent_writes"]["L"]) == 1
        assert "playlist_owner" not in item

    @pytest.mark.parametrize(
        "tracks",
        [
            {"NS": ["1"]},
            {"S": "A/1"},
            {"M": {"A/1": {"S": "x"}}},
            {"L": [{"S": "A/1"}, {"N": "7"}]},
            {"L": [{"NULL": True}]},
        ],
    )
    async def test_append_to_tracks_that_cannot_all_be_read_is_refused_and_keeps_them(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, tracks: Any
    ) -> None:
        stored = other_program.put_playlist("p1", track_tokens=tracks)

        refused = await insert(http, "B/1")
        renamed = await http.patch("/playlists/p1", json={"playlist_name": "New"})

        assert code_of(refused) == (409, "unwritable-item")
        assert "track_tokens" in refused.json()["detail"]
        assert renamed.status_code == 200
        item = other_program.read("p1")
        assert item is not None
        assert item["track_tokens"] == stored["track_tokens"]

    @pytest.mark.parametrize("write", ["save", "rename_in_place"])
    async def test_append_that_loses_to_another_program(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        interruptions: Interruptions,
        other_program: OtherProgram,
        write: str,
    ) -> None:
        interruptions.before_write = lambda: getattr(other_program, write)("p1", "Theirs")

        response = await insert(http, "B/1")

        assert response.json()["playlist_name"] == "Theirs"
        assert response.json()["track_tokens"] == ["A/1", "A/2", "B/1"]
        assert response.json()["playlist_version"] == 3
