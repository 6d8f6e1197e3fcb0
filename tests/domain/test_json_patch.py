import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import FAULTS_LISTED, InvalidChange, PatchNotApplicable, PlaylistTooLarge
from app.domain.json_patch import OPERATIONS, OPERATIONS_LIMIT, JsonPatch
from app.domain.playlist import PLAYLIST_MEMBERS, PLAYLIST_SIZE_LIMIT, Playlist, PlaylistContent
from tests.domain.test_playlist import a_playlist

PLAYLIST = a_playlist(playlist_name="My/1", track_tokens=("A/1", "A/2", "A/3"), created_at="2026-11-24T09:00:00.000Z")
UNFIT = a_playlist(playlist_name="\n", track_tokens=("no slash", "A/1"))
READ_ONLY = ["", "/playlist_token", "/playlist_version", "/playlist_owner", "/created_at", "/updated_at"]

Members = dict[str, Any]


def apply(playlist: Playlist, *operations: Members) -> PlaylistContent:
    return JsonPatch.parse(list(operations)).apply(playlist)


def add(path: str, value: Any) -> Members:
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: Any) -> Members:
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> Members:
    return {"op": "remove", "path": path}


def move(source: str, path: str) -> Members:
    return {"op": "move", "from": source, "path": path}


def copy(source: str, path: str) -> Members:
    return {"op": "copy", "from": source, "path": path}


def check(path: str, value: Any) -> Members:
    return {"op": "test", "path": path, "value": value}


def members_of(playlist: Playlist) -> Members:
    return {
        **{name: getattr(playlist, name) for name in PLAYLIST_MEMBERS},
        "track_tokens": list(playlist.track_tokens),
    }


class TestApply:
    @pytest.mark.parametrize(
        ("operation", "tracks"),
        [
            (add("/track_tokens/0", "B/1"), "B/1 A/1 A/2 A/3"),
            (add("/track_tokens/3", "B/1"), "A/1 A/2 A/3 B/1"),
            (add("/track_tokens/-", "A/1"), "A/1 A/2 A/3 A/1"),
            (add("/track_tokens", ["B/1"]), "B/1"),
            (remove("/track_tokens/1"), "A/1 A/3"),
            (replace("/track_tokens/2", "B/1"), "A/1 A/2 B/1"),
            (replace("/track_tokens", []), ""),
            (move("/track_tokens/0", "/track_tokens/2"), "A/2 A/3 A/1"),
            (move("/track_tokens/2", "/track_tokens/0"), "A/3 A/1 A/2"),
            (move("/track_tokens/0", "/track_tokens/-"), "A/2 A/3 A/1"),
            (move("/track_tokens/1", "/track_tokens/1"), "A/1 A/2 A/3"),
            (move("/track_tokens", "/track_tokens"), "A/1 A/2 A/3"),
            (copy("/track_tokens/0", "/track_tokens/0"), "A/1 A/1 A/2 A/3"),
            (copy("/track_tokens/0", "/track_tokens/-"), "A/1 A/2 A/3 A/1"),
            (copy("/track_tokens", "/track_tokens"), "A/1 A/2 A/3"),
            (copy("/playlist_name", "/track_tokens/0"), "My/1 A/1 A/2 A/3"),
        ],
        ids=json.dumps,
    )
    def test_one_operation_on_the_tracks(self, operation: Members, tracks: str) -> None:
        assert apply(PLAYLIST, operation) == PLAYLIST.with_tracks(tuple(tracks.split()))

    @pytest.mark.parametrize(
        ("operation", "name"),
        [
            (add("/playlist_name", "New"), "New"),
            (replace("/playlist_name", "New"), "New"),
            (move("/playlist_name", "/playlist_name"), "My/1"),
            (copy("/track_tokens/1", "/playlist_name"), "A/2"),
            (copy("/playlist_token", "/playlist_name"), "p1"),
        ],
        ids=json.dumps,
    )
    def test_one_operation_on_the_name(self, operation: Members, name: str) -> None:
        assert apply(PLAYLIST, operation) == PLAYLIST.renamed(name)

    def test_operations_see_what_earlier_ones_made(self) -> None:
        changed = apply(
            PLAYLIST,
            add("/track_tokens/-", "B/1"),
            check("/track_tokens/3", "B/1"),
            move("/track_tokens/3", "/track_tokens/0"),
            replace("/playlist_name", "New"),
            check("/playlist_name", "New"),
        )

        assert changed == PlaylistContent("New", ("B/1", "A/1", "A/2", "A/3"))

    def test_members_may_be_missing_until_they_are_added_again(self) -> None:
        changed = apply(
            PLAYLIST,
            move("/playlist_name", "/track_tokens/0"),
            remove("/track_tokens"),
            add("/track_tokens", ["B/1"]),
            move("/track_tokens/0", "/playlist_name"),
        )

        assert changed == PlaylistContent("B/1")

    def test_patch_can_be_applied_again_and_changes_neither_itself_nor_the_playlist(self) -> None:
        document = [replace("/track_tokens", ["B/1"]), add("/track_tokens/-", "B/2")]
        patch = JsonPatch.parse(document)

        first, second = patch.apply(PLAYLIST), patch.apply(PLAYLIST)

        assert first.track_tokens == second.track_tokens == ("B/1", "B/2")
        assert document == [replace("/track_tokens", ["B/1"]), add("/track_tokens/-", "B/2")]

    def test_empty_patch_changes_nothing(self) -> None:
        assert apply(PLAYLIST) == PLAYLIST.content

    def test_undefined_members_are_ignored(self) -> None:
        assert apply(PLAYLIST, {**remove("/track_tokens/0"), "from": 1, "value": "x", "x": {}}) == PLAYLIST.with_tracks(
            ("A/2", "A/3")
        )

    @pytest.mark.parametrize(
        ("operation", "reason"),
        [
            (add("/track_tokens/4", "B/1"), "there are 3 tracks"),
            (add("/track_tokens/999999999", "B/1"), "there are 3 tracks"),
            (remove("/track_tokens/3"), "there are 3 tracks"),
            (replace("/track_tokens/3", "B/1"), "there are 3 tracks"),
            (move("/track_tokens/3", "/track_tokens/0"), "there are 3 tracks"),
            (move("/track_tokens/0", "/track_tokens/3"), "there are 2 tracks"),
            (copy("/track_tokens/3", "/track_tokens/0"), "there are 3 tracks"),
            (check("/track_tokens/3", "A/1"), "there are 3 tracks"),
            (check("/track_tokens/0", "A/2"), "there is another value"),
        ],
        ids=json.dumps,
    )
    def test_what_the_state_does_not_allow_is_a_conflict_that_says_where_and_why(
        self, operation: Members, reason: str
    ) -> None:
        with pytest.raises(PatchNotApplicable) as conflict:
            apply(PLAYLIST, replace("/playlist_name", "New"), operation)

        assert f'operation /1 ({operation["op"]} "{operation["path"]}"): {reason}' in str(conflict.value)
        assert conflict.value.current == PLAYLIST

    @pytest.mark.parametrize(
        ("removed", "operation"),
        [
            ("/playlist_name", remove("/playlist_name")),
            ("/playlist_name", replace("/playlist_name", "New")),
            ("/playlist_name", move("/playlist_name", "/playlist_name")),
            ("/playlist_name", copy("/playlist_name", "/track_tokens/0")),
            ("/playlist_name", check("/playlist_name", "My/1")),
            ("/track_tokens", add("/track_tokens/-", "B/1")),
            ("/track_tokens", check("/track_tokens/0", "A/1")),
            ("/track_tokens", copy("/track_tokens", "/track_tokens")),
        ],
        ids=json.dumps,
    )
    def test_removed_member_is_not_there_for_later_operations(self, removed: str, operation: Members) -> None:
        with pytest.raises(PatchNotApplicable, match="an earlier operation has removed"):
            apply(PLAYLIST, remove(removed), operation)

    def test_result_without_its_members_is_invalid_at_the_last_operations_that_removed_them(self) -> None:
        with pytest.raises(InvalidChange) as refusal:
            apply(
                PLAYLIST,
                remove("/playlist_name"),
                add("/playlist_name", "A/1"),
                remove("/track_tokens"),
                add("/track_tokens", []),
                move("/playlist_name", "/track_tokens/0"),
                remove("/track_tokens/0"),
                remove("/track_tokens"),
            )

        assert [pointer for pointer, _ in refusal.value.faults] == ["/4", "/6"]


class TestUnfitContent:
    """What other programs stored past our limits stays usable; nobody can add to it."""

    @pytest.mark.parametrize(
        ("operations", "pointers"),
        [
            ([replace("/playlist_name", " ")], ["/0/value"]),
            ([remove("/track_tokens/0"), add("/track_tokens/0", "x")], ["/1/value"]),
            ([add("/track_tokens", ["A/1", "x", "no slash", "no slash"])], ["/0/value/1", "/0/value/3"]),
            ([add("/track_tokens", ["x"] * 1_000)], [f"/0/value/{index}" for index in range(FAULTS_LISTED)]),
        ],
    )
    def test_is_refused_where_the_playlist_does_not_have_it(
        self, operations: list[Members], pointers: list[str]
    ) -> None:
        with pytest.raises(InvalidChange) as refusal:
            apply(UNFIT, *operations)

        assert [pointer for pointer, _ in refusal.value.faults] == pointers

    def test_can_be_removed_and_added_again(self) -> None:
        moved = apply(UNFIT, remove("/track_tokens/0"), add("/track_tokens/-", "no slash"))

        assert moved.track_tokens == ("A/1", "no slash")

    def test_stays_where_the_patch_does_not_touch_it(self) -> None:
        assert apply(UNFIT, add("/track_tokens/-", "B/1")) == UNFIT.with_tracks(("no slash", "A/1", "B/1"))

    def test_can_be_moved_tested_and_removed(self) -> None:
        moved = apply(UNFIT, check("/track_tokens/0", "no slash"), move("/track_tokens/0", "/track_tokens/1"))

        assert moved.track_tokens == ("A/1", "no slash")
        assert apply(UNFIT, remove("/track_tokens/0")).track_tokens == ("A/1",)
        nothing = [move("/track_tokens", "/track_tokens"), copy("/playlist_name", "/playlist_name")]
        assert apply(UNFIT, *nothing) == UNFIT.content

    @pytest.mark.parametrize(
        "operation",
        [
            copy("/track_tokens/0", "/track_tokens/-"),
            copy("/playlist_name", "/track_tokens/0"),
            move("/playlist_name", "/track_tokens/0"),
            copy("/playlist_owner", "/playlist_name"),
            copy("/updated_at", "/track_tokens/0"),
        ],
        ids=json.dumps,
    )
    def test_cannot_be_copied_or_moved_to_another_member(self, operation: Members) -> None:
        with pytest.raises(InvalidChange) as refusal:
            apply(UNFIT, check("/playlist_version", 3), operation)

        assert [pointer for pointer, _ in refusal.value.faults] == ["/1/from"]

    def test_is_judged_by_the_narrower_form_too(self) -> None:
        narrowed_to = re.compile("[A-Z]/[0-9]")
        playlist = a_playlist(track_tokens=("album/1",))

        moved = JsonPatch.parse([add("/track_tokens/0", "A/1")], narrowed_to=narrowed_to).apply(playlist)
        with pytest.raises(InvalidChange, match="not allowed") as copied:
            JsonPatch.parse([copy("/track_tokens/0", "/track_tokens/0")], narrowed_to=narrowed_to).apply(playlist)
        with pytest.raises(InvalidChange, match="not allowed") as added:
            JsonPatch.parse([add("/track_tokens", ["A/1", "album/2"])], narrowed_to=narrowed_to).apply(playlist)

        assert moved.track_tokens == ("A/1", "album/1")
        assert [pointer for pointer, _ in copied.value.faults + added.value.faults] == ["/0/from", "/0/value/1"]


class TestTest:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("/playlist_token", "p1"),
            ("/playlist_version", 3),
            ("/playlist_version", 3.0),
            ("/track_tokens", ["A/1", "A/2", "A/3"]),
            ("/playlist_owner", None),
            ("/created_at", "2026-11-24T09:00:00.000Z"),
            ("", members_of(PLAYLIST)),
            ("", dict(reversed(members_of(PLAYLIST).items()))),
        ],
    )
    def test_holds_where_any_part_of_the_playlist_is_equal(self, path: str, value: Any) -> None:
        assert apply(PLAYLIST, check(path, value)) == PLAYLIST.content

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("/playlist_version", "3"),
            ("/playlist_version", float("inf")),
            ("/playlist_owner", False),
            ("/playlist_owner", ""),
            ("/track_tokens", ["A/1", "A/3", "A/2"]),
            ("/track_tokens", "A/1"),
            ("/track_tokens", {"0": "A/1", "1": "A/2", "2": "A/3"}),
            ("/track_tokens", []),
            ("", {}),
            ("", None),
            ("", {**members_of(PLAYLIST), "x": 1}),
        ],
    )
    def test_fails_where_it_is_not(self, path: str, value: Any) -> None:
        with pytest.raises(PatchNotApplicable):
            apply(PLAYLIST, check(path, value))

    def test_takes_no_boolean_for_a_number(self) -> None:
        first = a_playlist(playlist_version=1)

        for path, value in (("/playlist_version", True), ("", {**members_of(first), "playlist_version": True})):
            with pytest.raises(PatchNotApplicable):
                apply(first, check(path, value))


class TestParse:
    @pytest.mark.parametrize(
        ("document", "faults"),
        [
            ({}, [""]),
            (None, [""]),
            ("add", [""]),
            ([remove("/track_tokens/0")] * (OPERATIONS_LIMIT + 1), [""]),
            ([1, None, []], ["/0", "/1", "/2"]),
            ([{}, {"op": "Add"}, {"op": ["add"]}, {"op": None}], ["/0/op", "/1/op", "/2/op", "/3/op"]),
            ([{"op": "remove"}, {"op": "remove", "path": 0}], ["/0/path", "/1/path"]),
            ([{"op": "test", "path": "/playlist_name"}], ["/0/value"]),
            ([{"op": "add", "path": "/playlist_name"}], ["/0/value"]),
            ([{"op": "replace", "path": "/playlist_name"}], ["/0/value"]),
            ([{"op": "move", "path": "/playlist_name"}], ["/0/from"]),
            ([{"op": "copy", "path": "/playlist_name", "from": None}], ["/0/from"]),
            ([add("/playlist_name", 5), add("/playlist_name", ["A/1"])], ["/0/value", "/1/value"]),
            ([replace("/playlist_name", None), replace("/playlist_name", 1)], ["/0/value", "/1/value"]),
            ([add("/track_tokens/0", None), add("/track_tokens/0", ["A/1"])], ["/0/value", "/1/value"]),
            ([add("/track_tokens", "A/1"), add("/track_tokens", None)], ["/0/value", "/1/value"]),
            ([add("/track_tokens", ["A/1", None, 1])], ["/0/value/1", "/0/value/2"]),
            ([remove("/track_tokens/0"), remove("/x"), replace("/track_tokens/0", 1)], ["/1/path", "/2/value"]),
            ([{}] * OPERATIONS_LIMIT, [f"/{number}/op" for number in range(FAULTS_LISTED)]),
            ([add("/track_tokens", [1] * 1_000)], [f"/0/value/{index}" for index in range(FAULTS_LISTED)]),
        ],
        ids=lambda case: json.dumps(case)[:60],
    )
    def test_faults_are_pointers_into_the_patch(self, document: Any, faults: list[str]) -> None:
        with pytest.raises(InvalidChange) as refusal:
            JsonPatch.parse(document)

        assert [pointer for pointer, _ in refusal.value.faults] == faults

    @pytest.mark.parametrize(
        "pointer",
        [
            "playlist_name",
            "/foo",
            "/foo/bar",
            "/",
            "/playlist_name/",
            "/playlist_name/0",
            "/playlist_name\n",
            "/Playlist_name",
            "/playlist~0name",
            "/track_tokens~10",
            "/track_tokens/",
            "/track_tokens/01",
            "/track_tokens/+1",
            "/track_tokens/-1",
            "/track_tokens/1e0",
            "/track_tokens/1.0",
            "/track_tokens/ 1",
            "/track_tokens/\u0661",
            "/track_tokens/0/0",
            "/track_tokens/--",
            "/track_tokens/" + "9" * 5_000,
            "/~2",
            "#/playlist_name",
        ],
    )
    @pytest.mark.parametrize("op", OPERATIONS)
    def test_pointer_to_what_no_playlist_has_is_invalid(self, op: str, pointer: str) -> None:
        with pytest.raises(InvalidChange) as refusal:
            JsonPatch.parse([{"op": op, "path": pointer, "value": "A/1", "from": "/playlist_name"}])

        assert [pointer for pointer, _ in refusal.value.faults] == ["/0/path"]

    @pytest.mark.parametrize("pointer", READ_ONLY)
    @pytest.mark.parametrize("op", ["add", "replace", "remove", "copy", "move"])
    def test_what_is_read_only_cannot_be_changed(self, op: str, pointer: str) -> None:
        with pytest.raises(InvalidChange) as refusal:
            JsonPatch.parse([{"op": op, "path": pointer, "from": pointer, "value": "A/1"}])

        assert [pointer for pointer, _ in refusal.value.faults] == ["/0/path"]

    @pytest.mark.parametrize("pointer", READ_ONLY)
    def test_what_is_read_only_cannot_be_moved_away(self, pointer: str) -> None:
        with pytest.raises(InvalidChange) as refusal:
            JsonPatch.parse([move(pointer, "/playlist_name")])

        assert [pointer for pointer, _ in refusal.value.faults] == ["/0/from"]

    @pytest.mark.parametrize(
        "operation",
        [
            remove("/track_tokens/-"),
            replace("/track_tokens/-", "A/1"),
            check("/track_tokens/-", "A/1"),
            move("/track_tokens/-", "/track_tokens/0"),
            copy("/track_tokens/-", "/track_tokens/0"),
        ],
        ids=json.dumps,
    )
    def test_end_of_the_tracks_is_only_for_what_adds(self, operation: Members) -> None:
        with pytest.raises(InvalidChange):
            JsonPatch.parse([operation])

    @pytest.mark.parametrize(
        ("source", "path"),
        [
            ("/track_tokens", "/track_tokens/0"),
            ("/track_tokens", "/playlist_name"),
            ("/track_tokens/0", "/track_tokens"),
            ("/playlist_name", "/track_tokens"),
            ("/playlist_version", "/playlist_name"),
            ("/playlist_version", "/track_tokens"),
            ("", "/track_tokens/0"),
        ],
    )
    def test_copy_to_where_it_can_never_fit_is_invalid(self, source: str, path: str) -> None:
        with pytest.raises(InvalidChange) as refusal:
            JsonPatch.parse([copy(source, path)])

        assert [pointer for pointer, _ in refusal.value.faults] == ["/0/from"]

    def test_as_many_operations_as_allowed_are_taken(self) -> None:
        assert len(JsonPatch.parse([check("", {})] * OPERATIONS_LIMIT).operations) == OPERATIONS_LIMIT


class TestGrowth:
    TOKEN = "A/" + "x" * 126
    FULL = a_playlist(playlist_name="", track_tokens=(TOKEN,) * (PLAYLIST_SIZE_LIMIT // 129))

    def test_past_the_item_limit_is_refused_at_once_also_if_a_later_operation_would_shrink_it(self) -> None:
        grow = [copy("/track_tokens/0", "/track_tokens/-")] * 2

        with pytest.raises(PlaylistTooLarge) as refusal:
            apply(self.FULL, *grow, replace("/track_tokens", []))

        assert refusal.value.size is not None
        assert refusal.value.size > refusal.value.limit == PLAYLIST_SIZE_LIMIT

    @pytest.mark.parametrize(
        "shrink",
        [
            remove("/track_tokens/0"),
            replace("/track_tokens/0", "A/1"),
            replace("/track_tokens", [TOKEN] * 3_000),
            add("/track_tokens", [TOKEN] * 3_000),
        ],
        ids=lambda operation: f"{operation['op']} {operation['path']}",
    )
    def test_room_that_an_operation_makes_can_be_used_by_the_next(self, shrink: Members) -> None:
        changed = apply(self.FULL, shrink, add("/track_tokens/-", self.TOKEN))

        assert changed.track_tokens[-1] == self.TOKEN

    def test_of_a_value_counts_bytes(self) -> None:
        with pytest.raises(PlaylistTooLarge):
            apply(PLAYLIST, replace("/track_tokens", ["A/" + "🎵" * 128] * 800), replace("/track_tokens", []))

    def test_many_moves_and_replacements_do_not_count_as_growth(self) -> None:
        back_and_forth = [
            move("/track_tokens/0", "/track_tokens/-"),
            replace("/track_tokens/0", self.TOKEN),
            move("/track_tokens", "/track_tokens"),
            copy("/track_tokens", "/track_tokens"),
        ]

        assert apply(self.FULL, *back_and_forth * 250) == self.FULL.content


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=10,
)
_POINTER = st.sampled_from(["/playlist_name", "/track_tokens", "/track_tokens/0", "/track_tokens/-", "/x"])
_MEMBERS = st.dictionaries(
    st.sampled_from(["op", "path", "from", "value"]), st.sampled_from(OPERATIONS) | _POINTER | _JSON
)


@given(_JSON | st.lists(_MEMBERS, max_size=5))
def test_every_json_value_is_a_patch_or_invalid(document: Any) -> None:
    try:
        patch = JsonPatch.parse(document)
    except InvalidChange:
        return
    assert len(patch.operations) == len(document)
