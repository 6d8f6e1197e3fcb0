"""Other programs on the table: what they write before our read survives, and what they write can be read and edited."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

P1 = "/playlists/p1"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
UNUSABLE_VERSIONS = [
    {"S": "1"},
    {"N": "1.5"},
    {"NULL": True},
    {"M": {"version": {"N": "1"}}},
    {"N": str(2**63 - 1)},
]
Write = Callable[[httpx2.AsyncClient, str], Any]
WRITES: dict[str, Write] = {
    "merge patch": lambda http, name: http.patch(P1, json={"playlist_name": name}),
    "JSON Patch": lambda http, name: http.patch(
        P1, json=[{"op": "replace", "path": "/playlist_name", "value": name}], headers=JSON_PATCH
    ),
    "replacement": lambda http, name: http.put(P1, json={"playlist_name": name, "track_tokens": []}),
    "append": lambda http, name: http.post(f"{P1}/tracks", json={"track_tokens": [f"A/{name}"]}),
    "insertion": lambda http, name: http.post(f"{P1}/tracks", json={"track_tokens": [f"A/{name}"], "position": 0}),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@pytest.fixture
async def created(http: httpx2.AsyncClient) -> httpx2.Response:
    """The answer that created p1."""
    return await http.put(P1, json=MINE)


class TestEachWriteStartsFromAFreshRead:
    @each_write
    async def test_attribute_that_is_added_changed_or_removed_right_before_a_write_stays_so(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram, write: Write
    ) -> None:
        other_program.set("p1", changed={"N": "1"}, removed={"S": "x"})
        await http.get(P1)
        other_program.set("p1", added={"SS": ["a"]}, changed={"N": "2"}, removed=None)

        written = await write(http, "First")

        assert written.status_code == 200
        item = other_program.read("p1")
        assert item is not None
        assert (item["added"], item["changed"]) == ({"SS": ["a"]}, {"N": "2"})
        assert "removed" not in item

    @each_write
    async def test_attribute_that_is_added_changed_or_removed_between_two_writes_stays_so(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram, write: Write
    ) -> None:
        other_program.set("p1", changed={"N": "1"}, removed={"S": "x"})

        first = await write(http, "First")
        other_program.set("p1", added={"SS": ["a"]}, changed={"N": "2"}, removed=None)
        second = await write(http, "Second")

        assert (first.status_code, second.status_code) == (200, 200)
        assert second.json()["playlist_version"] == created.json()["playlist_version"] + 2
        item = other_program.read("p1")
        assert item is not None
        assert (item["added"], item["changed"]) == ({"SS": ["a"]}, {"N": "2"})
        assert "removed" not in item

    async def test_no_addition_of_another_program_is_lost_between_appends(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram
    ) -> None:
        for number in range(10):
            other_program.set("p1", likes={"N": str(number + 1)})
            await http.post(f"{P1}/tracks", json={"track_tokens": [f"A/{number}"]})

            item = other_program.read("p1")
            assert item is not None
            assert item["likes"] == {"N": str(number + 1)}

    async def test_content_that_changes_without_the_version_is_the_base_of_the_next_write(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram
    ) -> None:
        other_program.set("p1", track_tokens={"L": [{"S": "B/1"}]})

        appended = await http.post(f"{P1}/tracks", json={"track_tokens": ["B/2"]})

        assert appended.json()["track_tokens"] == ["B/1", "B/2"]


class TestEntityTag:
    @pytest.mark.parametrize(
        "change",
        [
            {"playlist_name": {"S": "Theirs"}},
            {"track_tokens": {"L": [{"S": "B/1"}]}},
            {"track_tokens": {"L": [{"S": "A/1"}, {"S": "A/2"}, {"N": "1"}]}},
            {"playlist_owner": {"S": "somebody"}},
            {"created_at": None},
            {"updated_at": {"S": "2026-01-01T00:00:00.000Z"}},
        ],
        ids=["name", "tracks", "element that is not shown", "owner", "creation", "change"],
    )
    async def test_content_that_changes_without_the_version_has_another_tag(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram, change: dict[str, Any]
    ) -> None:
        tag = created.headers["etag"]
        other_program.set("p1", **change)

        read = await http.get(P1, headers={"If-None-Match": tag})
        renamed = await http.patch(P1, json={"playlist_name": "Mine"}, headers={"If-Match": tag})

        assert read.status_code == 200
        assert read.headers["etag"] != tag
        assert read.json()["playlist_version"] == created.json()["playlist_version"]
        assert code_of(renamed) == (412, "precondition-failed")
        assert renamed.json()["current_etag"] == read.headers["etag"]
        assert renamed.json()["current"] == read.json()

    async def test_attribute_that_is_not_shown_leaves_the_tag(
        self, http: httpx2.AsyncClient, created: httpx2.Response, other_program: OtherProgram
    ) -> None:
        other_program.set("p1", genre={"S": "Rock"})

        assert (await http.get(P1)).headers["etag"] == created.headers["etag"]

    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(
        name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
            lambda name: name.strip(" \ufeff") and not name.isspace()
        ),
        tracks=st.lists(
            st.tuples(*[st.text(st.sampled_from('a"\\{}[],:é\U0001f3b5<&'), min_size=1, max_size=9)] * 2).map("/".join),
            max_size=5,
        ),
    )
    async def test_tag_of_each_write_is_that_of_the_next_read(
        self, http: httpx2.AsyncClient, name: str, tracks: list[str]
    ) -> None:
        await http.delete(P1)
        writes = [
            http.put(P1, json={"playlist_name": name, "track_tokens": tracks}),
            http.patch(P1, json={"playlist_name": f"{name[:29]}!"}),
            http.post(f"{P1}/tracks", json={"track_tokens": ["A/1", *tracks]}),
            http.patch(P1, json={"track_tokens": tracks}),
        ]
        for write in writes:
            written = await write
            read = await http.get(P1)

            assert written.status_code in (200, 201)
            assert (read.headers["etag"], read.content) == (written.headers["etag"], written.content)


class TestVersion:
    @each_write
    async def test_playlist_without_a_version_is_adopted_by_the_first_write(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, write: Write
    ) -> None:
        other_program.put_playlist("p1", playlist_version=None, genre={"S": "Rock"})
        before = await http.get(P1)

        written = await write(http, "New")

        assert before.json()["playlist_version"] is None
        assert written.status_code == 200
        assert written.json()["playlist_version"] == 1
        item = other_program.read("p1")
        assert item is not None
        assert (item["playlist_version"], item["genre"]) == ({"N": "1"}, {"S": "Rock"})
        assert len(item["recent_writes"]["L"]) == 1

    @pytest.mark.parametrize(
        "act",
        [
            lambda program: program.set("p1", playlist_version={"N": "1"}),
            lambda program: program.set("p1", recent_writes={"L": [{"S": "another_writer_1"}]}),
            lambda program: program.delete("p1"),
        ],
        ids=["versioned", "adopted by another", "deleted"],
    )
    async def test_playlist_without_a_version_that_another_program_writes_in_between_is_not_overwritten(
        self,
        http: httpx2.AsyncClient,
        interruptions: Interruptions,
        other_program: OtherProgram,
        act: Callable[[OtherProgram], None],
    ) -> None:
        other_program.put_playlist("p1", playlist_version=None)
        interruptions.before_write = lambda: act(other_program)

        refused = await http.patch(P1, json={"playlist_name": "Mine"})

        assert code_of(refused) in [(409, "edit-conflict"), (404, "playlist-not-found")]
        item = other_program.read("p1")
        assert item is None or item["playlist_name"] == {"S": "Theirs"}

    async def test_playlist_without_a_version_has_a_tag_that_guards_its_adoption(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", playlist_version=None)
        tag = (await http.get(P1)).headers["etag"]
        other_program.set("p1", playlist_name={"S": "Theirs, renamed"})

        stale = await http.patch(P1, json={"playlist_name": "Mine"}, headers={"If-Match": tag})
        current = {"If-Match": stale.headers.get("etag") or stale.json()["current_etag"]}
        adopted = await http.patch(P1, json={"playlist_name": "Mine"}, headers=current)

        assert code_of(stale) == (412, "precondition-failed")
        assert (adopted.status_code, adopted.json()["playlist_version"]) == (200, 1)

    async def test_playlist_without_a_version_is_deleted(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", playlist_version=None)

        assert (await http.delete(P1)).status_code == 204
        assert other_program.read("p1") is None

    @each_write
    @pytest.mark.parametrize("version", UNUSABLE_VERSIONS)
    async def test_version_that_cannot_be_counted_up_is_not_written_over(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, write: Write, version: Any
    ) -> None:
        other_program.put_playlist("p1", playlist_version=version)
        before = other_program.read("p1")

        read = await http.get(P1)
        refused = await write(http, "New")

        assert (read.status_code, read.json()["playlist_version"]) == (200, None)
        assert code_of(refused) == (409, "unwritable-item")
        assert "playlist_version" in refused.json()["detail"]
        assert other_program.read("p1") == before

    @pytest.mark.parametrize("version", UNUSABLE_VERSIONS)
    async def test_version_that_cannot_be_counted_up_is_deleted_only_as_it_was_read(
        self, http: httpx2.AsyncClient, interruptions: Interruptions, other_program: OtherProgram, version: Any
    ) -> None:
        other_program.put_playlist("p1", playlist_version=version)
        interruptions.before_write = lambda: other_program.set("p1", playlist_version={"S": "another"})

        lost = await http.delete(P1)
        kept = other_program.read("p1")
        other_program.put_playlist("p1", playlist_version=version)
        deleted = await http.delete(P1)

        assert code_of(lost) == (409, "edit-conflict")
        assert kept is not None
        assert deleted.status_code == 204
        assert other_program.read("p1") is None

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            ("9007199254740992", 200),
            ("9007199254740992.0", 200),
            ("9.007199254740992e15", 200),
            ("9007199254740993.0", 409),
            ("9007199254740992.00000000000000000001", 422),
            ("1e400", 422),
            ("-1e400", 422),
            ("1e99999999999999999999", 400),
        ],
    )
    async def test_expected_version_is_compared_exactly(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, sent: str, status: int
    ) -> None:
        other_program.put_playlist("p1", playlist_version={"N": str(2**53)})

        patched = await http.patch(
            P1,
            content=f'{{"playlist_name": "New", "playlist_version": {sent}}}',
            headers={"Content-Type": "application/json"},
        )

        assert patched.status_code == status

    @pytest.mark.parametrize(("sent", "status"), [("3.0", 200), ("3.00000000000000000001", 409), ("3", 200)])
    async def test_version_in_a_test_of_a_json_patch_is_compared_exactly(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, sent: str, status: int
    ) -> None:
        other_program.put_playlist("p1", playlist_version={"N": "3"})

        patched = await http.patch(
            P1, content=f'[{{"op": "test", "path": "/playlist_version", "value": {sent}}}]', headers=JSON_PATCH
        )

        assert patched.status_code == status


class TestTracks:
    @pytest.mark.parametrize("tracks", [None, {"NULL": True}, {"L": []}])
    async def test_no_tracks_are_an_empty_list_that_can_be_edited(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, tracks: Any
    ) -> None:
        other_program.put_playlist("p1", track_tokens=tracks)

        read = (await http.get(P1)).json()
        appended = await http.post(f"{P1}/tracks", json={"track_tokens": ["A/1"]})

        assert (read["track_tokens"], read["track_count"]) == ([], 0)
        assert appended.json()["track_tokens"] == ["A/1"]
        item = other_program.read("p1")
        assert item is not None
        assert item["track_tokens"] == {"L": [{"S": "A/1"}]}

    async def test_string_set_is_shown_as_a_list_and_becomes_one_when_it_is_edited(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", track_tokens={"SS": ["B/2", "A/1"]})

        read = await http.get(P1)
        renamed = await http.patch(P1, json={"playlist_name": "New"}, headers={"If-Match": read.headers["etag"]})
        after_rename = other_program.read("p1")
        appended = await http.post(f"{P1}/tracks", json={"track_tokens": ["C/3"]})

        assert (read.json()["track_tokens"], read.json()["track_count"]) == (["A/1", "B/2"], 2)
        assert renamed.status_code == 200
        assert after_rename is not None
        assert set(after_rename["track_tokens"]["SS"]) == {"A/1", "B/2"}
        assert appended.json()["track_tokens"] == ["A/1", "B/2", "C/3"]
        item = other_program.read("p1")
        assert item is not None
        assert item["track_tokens"] == {"L": [{"S": "A/1"}, {"S": "B/2"}, {"S": "C/3"}]}

    @pytest.mark.parametrize(
        ("stored", "shown", "count"),
        [
            ({"L": [{"S": "A/1"}, {"N": "7"}, {"NULL": True}, {"S": 'B/"2'}]}, ["A/1", 'B/"2'], 4),
            ({"L": [{"L": [{"S": "A/1"}]}]}, [], 1),
            ({"M": {"A/1": {"S": "x"}, "A/2": {"S": "y"}}}, [], 2),
            ({"NS": ["1", "2", "3"]}, [], 3),
            ({"S": "A/1"}, [], 1),
            ({"BOOL": False}, [], 1),
        ],
    )
    async def test_elements_that_cannot_be_shown_are_counted_and_not_lost(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, stored: Any, shown: list[str], count: int
    ) -> None:
        other_program.put_playlist("p1", track_tokens=stored)

        read = (await http.get(P1)).json()
        edited = await http.patch(P1, json={"track_tokens": ["C/3"]})
        renamed = await http.put(P1, json={**read, "playlist_name": "New"})

        assert (read["track_tokens"], read["track_count"]) == (shown, count)
        assert code_of(edited) == (409, "unwritable-item")
        assert "track_tokens" in edited.json()["detail"]
        assert (renamed.status_code, renamed.json()["track_count"]) == (200, count)
        item = other_program.read("p1")
        assert item is not None
        assert (item["playlist_name"], item["track_tokens"].keys()) == ({"S": "New"}, stored.keys())


class TestContentBeyondTheLimits:
    """A name and tracks that no request of ours could have added."""

    NAME = "x" * 201 + "\n"
    TRACKS = ("no slash", "A/1", "", "a/b/c", "no slash")

    @pytest.fixture
    def stored(self, other_program: OtherProgram) -> None:
        other_program.put_playlist(
            "p1", playlist_name={"S": self.NAME}, track_tokens={"L": [{"S": track} for track in self.TRACKS]}
        )

    @pytest.mark.usefixtures("stored")
    async def test_get_edit_put_works(self, http: httpx2.AsyncClient) -> None:
        read = await http.get(P1)
        edited = {**read.json(), "track_tokens": ["B/2", *reversed(self.TRACKS)]}

        written = await http.put(P1, json=edited, headers={"If-Match": read.headers["etag"]})

        assert written.status_code == 200
        assert (written.json()["playlist_name"], written.json()["track_tokens"]) == (
            self.NAME,
            edited["track_tokens"],
        )

    @pytest.mark.usefixtures("stored")
    @pytest.mark.parametrize(
        "patch", [{"playlist_name": "New"}, {"playlist_name": NAME, "track_tokens": ["no slash", "B/2"]}]
    )
    async def test_merge_patch_that_keeps_them_works(self, http: httpx2.AsyncClient, patch: dict[str, Any]) -> None:
        written = await http.patch(P1, json=patch)

        assert written.status_code == 200
        assert {name: written.json()[name] for name in patch} == patch

    @pytest.mark.usefixtures("stored")
    async def test_json_patch_that_keeps_them_works(self, http: httpx2.AsyncClient) -> None:
        operations = [
            {"op": "replace", "path": "/playlist_name", "value": self.NAME},
            {"op": "remove", "path": "/track_tokens/3"},
            {"op": "add", "path": "/track_tokens/0", "value": "a/b/c"},
            {"op": "add", "path": "/track_tokens/-", "value": "B/2"},
        ]

        written = await http.patch(P1, json=operations, headers=JSON_PATCH)

        assert written.json()["track_tokens"] == ["a/b/c", "no slash", "A/1", "", "no slash", "B/2"]

    @pytest.mark.usefixtures("stored")
    @pytest.mark.parametrize(
        "operations",
        [
            [("replace", 0, "a/b/c"), ("replace", 3, "no slash")],
            [("add", 0, "a/b/c"), ("remove", 4, None)],
            [("copy", 3, None), ("remove", 4, None)],
        ],
        ids=["swap", "add and remove", "copy and remove"],
    )
    async def test_json_patch_that_puts_them_elsewhere_works(
        self, http: httpx2.AsyncClient, operations: list[tuple[str, int, str | None]]
    ) -> None:
        patch = [
            {"op": op, "path": f"/track_tokens/{index if op != 'copy' else 0}", "value": value}
            | ({"from": f"/track_tokens/{index}"} if op == "copy" else {})
            for op, index, value in operations
        ]

        written = await http.patch(P1, json=patch, headers=JSON_PATCH)

        assert written.status_code == 200
        assert sorted(written.json()["track_tokens"]) == sorted(self.TRACKS)

    async def test_json_patch_that_leaves_a_large_string_set_as_it_is_works(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", track_tokens={"SS": [f"{number:05}" for number in range(70_000)]})

        written = await http.patch(
            P1, json=[{"op": "replace", "path": "/playlist_name", "value": "New"}], headers=JSON_PATCH
        )

        assert (written.status_code, written.json()["track_count"]) == (200, 70_000)

    @pytest.mark.usefixtures("stored")
    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ({"playlist_name": "x" * 201}, ["/playlist_name"]),
            ({"track_tokens": [*TRACKS, "no slash", "another"]}, ["/track_tokens/5", "/track_tokens/6"]),
            ([{"op": "add", "path": "/track_tokens/-", "value": "a/b/c"}], ["/0/value"]),
            ([{"op": "copy", "from": "/track_tokens/0", "path": "/track_tokens/-"}], ["/0/from"]),
            ([{"op": "replace", "path": "/track_tokens/0", "value": ""}], ["/0/value"]),
        ],
        ids=["name", "tracks", "add", "copy", "replace"],
    )
    async def test_limits_apply_to_what_is_added(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, body: Any, pointers: list[str]
    ) -> None:
        before = other_program.read("p1")
        media_type = JSON_PATCH if isinstance(body, list) else {}

        refused = await http.patch(P1, json=body, headers=media_type)

        assert code_of(refused) == (422, "invalid-request")
        assert [error["pointer"] for error in refused.json()["errors"]] == pointers
        assert other_program.read("p1") == before

    @pytest.mark.usefixtures("stored")
    async def test_insertion_of_an_invalid_track_is_refused_though_it_is_there_already(
        self, http: httpx2.AsyncClient
    ) -> None:
        refused = await http.post(f"{P1}/tracks", json={"track_tokens": ["B/2", "no slash"]})

        assert code_of(refused) == (422, "invalid-request")
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/track_tokens/1"]

    async def test_put_that_creates_is_held_to_the_limits(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        refused = await http.put(P1, json={"playlist_name": self.NAME, "track_tokens": ["no slash"]})

        assert code_of(refused) == (422, "invalid-request")
        assert other_program.read("p1") is None


@pytest.mark.parametrize(
    "body", [{**MINE, "playlist_name": "\ufeff"}, {**MINE, "track_tokens": ["A/\ufeff1"]}], ids=["name", "track"]
)
async def test_byte_order_mark_is_white_space_as_in_the_published_patterns(
    http: httpx2.AsyncClient, contract: Any, body: dict[str, Any]
) -> None:
    refused = await http.post("/playlists", json=body)

    assert code_of(refused) == (422, "invalid-request")
