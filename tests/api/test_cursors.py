import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.api import cursors
from app.api.cursors import CURSOR_MAX_LENGTH, cursor_after, token_before

TOKENS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


@given(playlist_token=TOKENS, caller=st.text(st.characters(exclude_categories=["Cs"])))
def test_cursor_names_its_playlist_to_its_caller(playlist_token: str, caller: str) -> None:
    assert token_before(cursor_after(playlist_token, caller=caller), caller=caller) == playlist_token


def test_longest_token_has_a_cursor_of_the_greatest_length() -> None:
    cursor = cursor_after("x" * 1024, caller="me")

    assert len(cursor) == CURSOR_MAX_LENGTH
    assert token_before(cursor, caller="me") == "x" * 1024
    assert token_before(cursor_after("x" * 1025, caller="me"), caller="me") is None


@given(
    playlist_token=TOKENS,
    place=st.integers(min_value=0),
    character=st.sampled_from("ABYZabyz0189-_+/= *\n%äé"),
)
def test_cursor_damaged_at_any_one_character_is_none(playlist_token: str, place: int, character: str) -> None:
    cursor = cursor_after(playlist_token, caller="me")
    place %= len(cursor)
    assume(cursor[place] != character)

    assert token_before(cursor[:place] + character + cursor[place + 1 :], caller="me") is None
    assert token_before(cursor[:place] + cursor[place + 1 :], caller="me") is None
    assert token_before(cursor[:place] + character + cursor[place:], caller="me") is None


@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
def test_any_other_text_is_none(text: str) -> None:
    assert token_before(text, caller="me") is None


@pytest.mark.parametrize(("mine", "theirs"), [("me", "you"), ("me", "m"), ("me", "Me"), ("", "p1")])
def test_cursor_of_another_caller_is_none(mine: str, theirs: str) -> None:
    assert token_before(cursor_after("p1", caller=theirs), caller=mine) is None


def test_cursor_of_another_format_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = cursor_after("p1", caller="me")

    monkeypatch.setattr(cursors, "_FORMAT", 2)

    assert token_before(cursor, caller="me") is None
