import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import IdempotencyKeyReused
from app.domain.idempotency import LogicalWrite, MalformedIdempotencyKey, parse_idempotency_key

REQUEST = {"caller": "me", "key": "k1", "method": "PATCH", "target": "/playlists/p1?", "body": b"{}"}


def keyed(**other: object) -> LogicalWrite:
    return LogicalWrite.keyed(**{**REQUEST, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field_value", "key"),
    [
        ("k1", "k1"),
        ('"k1"', "k1"),
        ('"a \\"quoted\\" one, with \\\\"', 'a "quoted" one, with \\'),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("x" * 255, "x" * 255),
    ],
)
def test_key_is_read_with_and_without_quotes(field_value: str, key: str) -> None:
    assert parse_idempotency_key(field_value) == key


@pytest.mark.parametrize(
    "field_value", ["", '""', "a b", "a,b", '"a', 'a"', '"a";b', "é", "a\x00", "x" * 256, '"\\x"', '"a" "b"']
)
def test_what_is_no_key_is_refused(field_value: str) -> None:
    with pytest.raises(MalformedIdempotencyKey):
        parse_idempotency_key(field_value)


def test_same_request_has_the_same_write_token_wherever_it_is_sent() -> None:
    assert keyed() == keyed()
    assert re.fullmatch("[A-Za-z0-9_-]{16}", keyed().token)


def test_token_of_the_key_part_is_of_caller_and_key_alone() -> None:
    others = [keyed(method="PUT"), keyed(target="/playlists/p2?"), keyed(body=b"{ }")]

    assert {write.token[:8] for write in others} == {keyed().token[:8]}
    assert len({write.token for write in (*others, keyed())}) == 4
    assert {write.playlist_token for write in others} == {keyed().playlist_token}
    assert keyed(caller="you").token[:8] != keyed().token[:8] != keyed(key="k2").token[:8]


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_requests_that_differ_only_in_where_a_part_ends_are_different(first: bytes, second: bytes) -> None:
    target = (first + b"|").decode("latin-1")

    moved = keyed(target=first.decode("latin-1"), body=b"|" + second)

    assert keyed(target=target, body=second).token != moved.token


def test_repeat_is_found_in_the_window() -> None:
    assert keyed().is_among(["other", keyed().token])
    assert not keyed().is_among(["other"])
    assert not LogicalWrite.unkeyed().is_among([keyed().token])


def test_key_with_another_request_is_told() -> None:
    with pytest.raises(IdempotencyKeyReused):
        keyed(body=b"other").is_among(["other", keyed().token])


def test_writes_without_a_key_are_all_different() -> None:
    tokens = {LogicalWrite.unkeyed().token for _ in range(100)}

    assert len(tokens) == 100
    assert all(re.fullmatch("[A-Za-z0-9_-]{16}", token) for token in tokens)
    assert LogicalWrite.unkeyed().playlist_token is None
