import json
import re
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.errors import PlaylistTooLarge
from app.domain.playlist import PlaylistContent
from app.store.items import ITEM_SIZE_LIMIT, RECENT_WRITES_KEPT, StoredPlaylist
from app.store.values import (
    Item,
    Strings,
    are_equal,
    decoded,
    encoded,
    encoded_item,
    first_of,
    item_size,
    item_size_bound,
    number,
    string,
    string_list,
    strings_of,
    with_first,
)

WRITE = {"write_token": "new_write_token_", "written_at": "2026-11-24T09:00:00.000Z"}


def an_item(**attributes: Any) -> Item:
    item = {
        "partition_key": {"S": "p1"},
        "sort_key": {"S": "INFO_"},
        "playlist_name": {"S": "Theirs"},
        "playlist_version": {"N": "7"},
        "track_tokens": {"L": [{"S": "A/1"}]},
        **attributes,
    }
    return encoded_item({name: value for name, value in item.items() if value is not None})


def test_item_of_another_program_is_read_without_our_attributes() -> None:
    playlist = StoredPlaylist.from_item(an_item()).playlist

    assert (playlist.playlist_name, playlist.playlist_version, playlist.track_tokens) == ("Theirs", 7, ("A/1",))
    assert (playlist.playlist_owner, playlist.created_at, playlist.updated_at) == (None, None, None)
    assert re.fullmatch(r'"7--[A-Za-z0-9_-]{16}"', playlist.entity_tag)


@pytest.mark.parametrize(
    "version", [None, {"S": "7"}, {"N": "1.5"}, {"N": str(2**63 - 1)}, {"N": "1E+100"}, {"NULL": True}]
)
def test_version_that_cannot_be_counted_up_reads_as_none(version: Any) -> None:
    assert StoredPlaylist.from_item(an_item(playlist_version=version)).playlist.playlist_version is None


@pytest.mark.parametrize(
    ("stored", "read"), [("0", 0), ("-3", -3), (str(2**63 - 2), 2**63 - 2), ("7.0", 7), ("1E+2", 100)]
)
def test_version_is_read_in_every_form_of_an_integer(stored: str, read: int) -> None:
    assert StoredPlaylist.from_item(an_item(playlist_version={"N": stored})).playlist.playlist_version == read


_WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        {"N": "1"},
        {"BOOL": True},
        {"NULL": True},
        {"B": b"x"},
        {"M": {}},
        {"L": [{"N": "1"}, {"S": "x"}]},
        {"SS": ["a"]},
    ]
)


@given(_WRONG, _WRONG, _WRONG, _WRONG, _WRONG)
def test_reading_takes_every_type_in_every_attribute(
    name: Any, tracks: Any, window: Any, owner: Any, time: Any
) -> None:
    item = an_item(
        playlist_name=name,
        track_tokens=tracks,
        recent_writes=window,
        playlist_owner=owner,
        created_at=time,
        updated_at=time,
    )

    stored = StoredPlaylist.from_item(item)

    assert stored.playlist.playlist_version == 7
    assert stored.still_current().expression


def test_write_replaces_what_changed_and_keeps_everything_else_as_it_was() -> None:
    stored = StoredPlaylist.from_item(an_item(track_tokens={"L": [{"S": "A/1"}, {"N": "5"}]}, genre={"SS": ["x"]}))

    item = stored.followed_by(stored.playlist.renamed("Ours"), **WRITE).item

    assert item == {
        **stored.item,
        "playlist_name": string("Ours"),
        "playlist_version": number(8),
        "recent_writes": string_list([WRITE["write_token"]]),
        "updated_at": string(WRITE["written_at"]),
    }


def test_window_keeps_the_newest_sixteen_writes() -> None:
    tokens = [f"token{n:011}" for n in range(RECENT_WRITES_KEPT)]
    stored = StoredPlaylist.from_item(an_item(recent_writes={"L": [{"S": token} for token in tokens]}))

    followed = stored.followed_by(stored.playlist.renamed("Ours"), **WRITE)

    assert followed.recent_writes == (WRITE["write_token"], *tokens[:-1])


def test_window_shrinks_where_space_is_tight() -> None:
    tokens = [f"token{n:011}" for n in range(RECENT_WRITES_KEPT)]
    item = an_item(recent_writes={"L": [{"S": token} for token in tokens]}, updated_at={"S": WRITE["written_at"]})
    # Five tokens of 17 bytes have to go.
    item["padding"] = string("x" * (ITEM_SIZE_LIMIT - item_size(item) - len("padding") + 5 * 17))
    stored = StoredPlaylist.from_item(item)

    followed = stored.followed_by(stored.playlist.content, **WRITE)

    assert item_size(followed.item) == ITEM_SIZE_LIMIT
    assert followed.recent_writes == (WRITE["write_token"], *tokens[:10])


def test_window_keeps_the_own_token_however_tight_space_is() -> None:
    stored = StoredPlaylist.from_item(an_item(padding={"S": "x" * ITEM_SIZE_LIMIT}))

    with pytest.raises(PlaylistTooLarge) as refusal:
        stored.followed_by(stored.playlist.content, **WRITE)

    with_one_write = dict(stored.item)
    with_one_write["recent_writes"] = string_list((WRITE["write_token"],))
    with_one_write["updated_at"] = string(WRITE["written_at"])
    assert refusal.value.size == item_size(with_one_write)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "aé🎵"}, 1 + 2 + 4),
        ({"N": "0"}, 1),
        ({"N": "1" + 37 * "0"}, 2),
        ({"N": "0.00012"}, 2),
        ({"N": "123"}, 3),
        ({"N": "-12.5"}, 4),
        ({"B": b"12345"}, 5),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"L": [{"S": "ab"}, {"S": "c"}]}, 3 + 2 + 3),
        ({"M": {"key": {"S": "ab"}}}, 3 + 1 + 3 + 2),
        ({"SS": ["ab", "c"]}, 3),
        ({"NS": ["1", "22"]}, 4),
        ({"BS": [b"ab", b"c"]}, 3),
    ],
)
def test_item_size_follows_the_rule_of_dynamodb(value: Any, size: int) -> None:
    assert item_size({"name": encoded(value)}) == len("name") + size


def test_new_item_has_the_documented_form() -> None:
    stored = StoredPlaylist.created("p1", PlaylistContent("Mine", ("A/1",)), playlist_owner="me", **WRITE)

    assert stored.item == {
        "partition_key": string("p1"),
        "sort_key": string("INFO_"),
        "playlist_name": string("Mine"),
        "playlist_version": number(1),
        "track_tokens": string_list(["A/1"]),
        "recent_writes": string_list([WRITE["write_token"]]),
        "playlist_owner": string("me"),
        "created_at": string(WRITE["written_at"]),
        "updated_at": string(WRITE["written_at"]),
    }


_STRINGS = st.text(st.sampled_from('a"\\,:{}[]SL é🎵\n/')) | st.text()


@given(st.lists(_STRINGS))
def test_strings_are_read_and_told_as_they_were_written(strings: list[str]) -> None:
    written = string_list(strings)

    assert decoded(written) == {"L": [{"S": string} for string in strings]}
    assert Strings(written) == tuple(strings)
    assert strings_of(written) == tuple(strings)
    assert json.loads(bytes(Strings(written).as_json())) == strings
    assert first_of(written) == (string(strings[0]) if strings else None)


_VALUES = st.recursive(
    st.fixed_dictionaries({"S": _STRINGS})
    | st.fixed_dictionaries({"N": st.integers().map(str)})
    | st.fixed_dictionaries({"B": st.binary()})
    | st.fixed_dictionaries({"BS": st.lists(st.binary(), min_size=1)})
    | st.fixed_dictionaries({"SS": st.lists(_STRINGS, min_size=1)})
    | st.fixed_dictionaries({"NS": st.lists(st.integers().map(str), min_size=1)})
    | st.sampled_from([{"NULL": True}, {"BOOL": False}]),
    lambda values: (
        st.fixed_dictionaries({"L": st.lists(values)}) | st.fixed_dictionaries({"M": st.dictionaries(_STRINGS, values)})
    ),
    max_leaves=10,
)


@given(st.lists(_VALUES))
def test_elements_that_are_no_strings_are_left_out_of_strings(elements: list[Any]) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        text = json.dumps({"L": elements}, separators=separators, default=lambda data: b64encode(data).decode())
        strings = [element["S"] for element in elements if "S" in element]

        value = msgspec.Raw(text.encode())
        assert Strings(value) == strings
        assert json.loads(bytes(Strings(value).as_json())) == strings
        assert decoded(string_list(Strings(value))) == {"L": [{"S": string} for string in strings]}
        assert decoded(with_first(value, string("A/1"), most=3)) == {
            "L": [{"S": string} for string in ["A/1", *strings][:3]]
        }


@given(st.lists(_VALUES) | st.lists(st.fixed_dictionaries({"S": _STRINGS})), _STRINGS, st.integers(2, 5))
@example([{"S": "A/1"}, {"N": "1"}, {"S": "A/2"}], "A/3", 5)
@example([{"S": "A/{1}"}, {"S": "A/2"}], "A/3", 2)
def test_string_is_put_before_those_of_a_list_and_the_last_are_cut_off(
    elements: list[Any], first: str, most: int
) -> None:
    strings = [element["S"] for element in elements if "S" in element]

    assert decoded(with_first(encoded({"L": elements}), string(first), most=most)) == {
        "L": [{"S": string} for string in [first, *strings][:most]]
    }
    assert decoded(with_first(None, string(first), most=most)) == {"L": [{"S": first}]}


@given(_VALUES)
def test_value_is_the_same_after_its_way_through_json(value: Any) -> None:
    assert decoded(encoded(value)) == value
    assert are_equal(encoded(value), msgspec.Raw(b" %b " % bytes(encoded(value))))


@given(st.dictionaries(_STRINGS, _VALUES))
def test_no_item_takes_more_than_its_bound(item: dict[str, Any]) -> None:
    assert item_size(encoded_item(item)) <= item_size_bound(encoded_item(item))


@pytest.mark.parametrize("padding", ["", "x" * (ITEM_SIZE_LIMIT - 20_000)])
@given(st.none() | st.lists(_VALUES) | st.lists(st.fixed_dictionaries({"S": _STRINGS})), _STRINGS)
def test_state_after_a_write_is_the_one_that_is_read_back(padding: str, window: Any, playlist_name: str) -> None:
    recent_writes = None if window is None else {"L": window}
    stored = StoredPlaylist.from_item(an_item(recent_writes=recent_writes, padding={"S": padding}))

    followed = stored.followed_by(stored.playlist.renamed(playlist_name), **WRITE)
    read_back = StoredPlaylist.from_item(followed.item)

    assert followed.playlist == read_back.playlist
    assert followed.still_current() == read_back.still_current()
    assert followed.is_state_of(read_back)
