import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.playlist import (
    NAME_PATTERN,
    TRACK_TOKEN_PATTERN,
    Playlist,
    playlist_name_fault,
    playlist_token_fault,
    track_token_fault,
)


def a_playlist(**members: object) -> Playlist:
    known = {"playlist_token": "p1", "playlist_name": "Mine", "playlist_version": 3, "track_tokens": ()}
    known["track_count"] = len(members.get("track_tokens", ()))  # type: ignore[arg-type]
    return Playlist(**{**known, **members})  # type: ignore[arg-type]


def test_entity_tag_names_the_version_the_write_and_the_content() -> None:
    assert re.fullmatch(
        r'"3-q83vEjRWeJCrze8S-[A-Za-z0-9_-]{16}"', a_playlist(write_token="q83vEjRWeJCrze8S").entity_tag
    )


def test_entity_tag_leaves_empty_what_there_is_none_of() -> None:
    assert re.fullmatch(r'"3--[A-Za-z0-9_-]{16}"', a_playlist().entity_tag)
    assert re.fullmatch(r'"--[A-Za-z0-9_-]{16}"', a_playlist(playlist_version=None).entity_tag)


@pytest.mark.parametrize(
    "change",
    [
        {"playlist_token": "p2"},
        {"playlist_name": "Other"},
        {"playlist_version": None},
        {"track_tokens": ("A/1",)},
        {"track_count": 1},
        {"playlist_owner": "alice"},
        {"created_at": "2026-11-24T09:00:00.000Z"},
        {"updated_at": "2026-11-24T09:00:00.000Z"},
        {"write_token": "q83vEjRWeJCrze8S"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_entity_tag_differs_whenever_a_member_differs(change: dict[str, object]) -> None:
    assert a_playlist(**change).entity_tag != a_playlist().entity_tag


def test_members_differing_from_lists_public_members_only() -> None:
    before = a_playlist(write_token="a" * 16)
    after = a_playlist(playlist_name="Theirs", playlist_version=4, write_token="b" * 16)

    assert after.members_differing_from(before) == ("playlist_name", "playlist_version")


@pytest.mark.parametrize("name", ["a", "x" * 200, "Ünïcödé 🎵", " padded ", "\u2028x", "\ufeffx", "🎵" * 200])
def test_name_is_fit(name: str) -> None:
    assert playlist_name_fault(name) is None


@pytest.mark.parametrize(
    "name", ["", " ", "\u3000", "\ufeff", " \ufeff\u00a0", "x" * 201, "a\nb", "a\x00", "\x7fa", "a\x85b", "\ud800a"]
)
def test_name_is_unfit(name: str) -> None:
    assert playlist_name_fault(name) is not None


@pytest.mark.parametrize("token", ["a/b", "ALBUM_1/TRACK_1", "x" * 128 + "/" + "y" * 128, "ä/🎵", "./.."])
def test_track_token_is_fit(token: str) -> None:
    assert track_token_fault(token) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "/",
        "a/",
        "/b",
        "a",
        "a/b/c",
        "a /b",
        "a/b\n",
        "a/\x00",
        "x" * 129 + "/y",
        "a/\udfff",
        "a/\u2028",
        "a\ufeff/b",
        "a/\ufeff",
    ],
)
def test_track_token_is_unfit(token: str) -> None:
    assert track_token_fault(token) is not None


def test_track_token_has_to_match_the_narrower_form_in_full() -> None:
    hexadecimal = re.compile("[A-Z0-9_]+/[0-9a-f]{16}")

    assert track_token_fault("ALBUM_1/00000000000000ff", narrowed_to=hexadecimal) is None
    assert track_token_fault("ALBUM_1/00000000000000ff0", narrowed_to=hexadecimal) is not None


@pytest.mark.parametrize("token", ["PLAYLIST_1", "a.b~c-d", "x" * 128])
def test_playlist_token_is_fit_to_be_chosen(token: str) -> None:
    assert playlist_token_fault(token) is None


@pytest.mark.parametrize("token", ["", "a b", "a/b", "ä", "x" * 129, "a\n", ".", ".."])
def test_playlist_token_is_unfit_to_be_chosen(token: str) -> None:
    assert playlist_token_fault(token) is not None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=210))
def test_documented_name_pattern_says_what_is_enforced(name: str) -> None:
    documented = 1 <= len(name) <= 200 and re.fullmatch(NAME_PATTERN.removesuffix("$"), name) is not None

    assert (playlist_name_fault(name) is None) == documented


@given(st.text(st.sampled_from("ab/ \n\x00\u00a0ä"), max_size=8))
def test_documented_track_token_pattern_says_what_is_enforced(token: str) -> None:
    documented = re.fullmatch(TRACK_TOKEN_PATTERN.removesuffix("$"), token) is not None

    assert (track_token_fault(token) is None) == documented
