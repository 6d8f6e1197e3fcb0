import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import Conflict, PreconditionFailed, PreconditionRequired, VersionConflict
from app.domain.preconditions import EntityTags, MalformedEntityTags, Preconditions
from tests.domain.test_playlist import a_playlist

CURRENT = a_playlist(write_token="q83vEjRWeJCrze8S")
TAG = CURRENT.entity_tag


@pytest.mark.parametrize(
    ("field_value", "tags"),
    [
        ('"a"', ('"a"',)),
        ('W/"a"', ('W/"a"',)),
        ('"a", "b"', ('"a"', '"b"')),
        ('"a","b"', ('"a"', '"b"')),
        (', "a" ,, "b",', ('"a"', '"b"')),
        ('""', ('""',)),
        ('"a,b"', ('"a,b"',)),
        ('"*"', ('"*"',)),
    ],
)
def test_entity_tags_are_read(field_value: str, tags: tuple[str, ...]) -> None:
    assert EntityTags.parse(field_value) == EntityTags(tags=tags)


@pytest.mark.parametrize("field_value", ["", " ", ",", "3-abc", '"a" "b"', '"a', 'w/"a"', '*, "a"', '"a b"', "W/*"])
def test_malformed_entity_tags_are_refused(field_value: str) -> None:
    with pytest.raises(MalformedEntityTags):
        EntityTags.parse(field_value)


@given(st.text(st.sampled_from('"W/*, \tab'), max_size=40))
def test_reading_entity_tags_is_total(field_value: str) -> None:
    try:
        read = EntityTags.parse(field_value)
    except MalformedEntityTags:
        return

    assert read.any or read.tags
    assert EntityTags.parse(str(read)) == read


def test_a_weak_tag_matches_weakly_only() -> None:
    weak = EntityTags.parse(f"W/{TAG}")

    assert weak.match_weakly(CURRENT)
    assert not weak.match_strongly(CURRENT)


@pytest.mark.parametrize(
    "demands",
    [
        Preconditions(),
        Preconditions(if_match=EntityTags.parse(f'"x", {TAG}')),
        Preconditions(if_match=EntityTags.parse("*")),
        Preconditions(if_none_match=EntityTags.parse('"x"')),
        Preconditions(expected_version=3),
        Preconditions(expected_version=3, required=True),
        Preconditions(if_match=EntityTags.parse("*"), required=True),
    ],
)
def test_preconditions_hold(demands: Preconditions) -> None:
    demands.check(CURRENT)


@pytest.mark.parametrize(
    ("demands", "error"),
    [
        (Preconditions(if_match=EntityTags.parse('"x"')), PreconditionFailed),
        (Preconditions(if_match=EntityTags.parse(f"W/{TAG}")), PreconditionFailed),
        (Preconditions(if_match=EntityTags.parse('"x"'), expected_version=2), PreconditionFailed),
        (Preconditions(if_none_match=EntityTags.parse("*")), PreconditionFailed),
        (Preconditions(if_none_match=EntityTags.parse(f"W/{TAG}")), PreconditionFailed),
        (Preconditions(expected_version=2), VersionConflict),
        (Preconditions(required=True), PreconditionRequired),
        (Preconditions(if_none_match=EntityTags.parse('"x"'), required=True), PreconditionRequired),
    ],
)
def test_preconditions_do_not_hold(demands: Preconditions, error: type[Conflict]) -> None:
    with pytest.raises(error) as conflict:
        demands.check(CURRENT)

    assert conflict.value.current == CURRENT


def test_preconditions_on_a_missing_playlist_hold_if_they_expect_none() -> None:
    Preconditions(if_none_match=EntityTags.parse("*"), required=True).check(None)


@pytest.mark.parametrize(
    ("demands", "error"),
    [
        (Preconditions(if_match=EntityTags.parse("*")), PreconditionFailed),
        (Preconditions(expected_version=1), VersionConflict),
    ],
)
def test_preconditions_on_a_missing_playlist_fail_if_they_expect_one(
    demands: Preconditions, error: type[Conflict]
) -> None:
    with pytest.raises(error) as conflict:
        demands.check(None)

    assert conflict.value.current is None


@pytest.mark.parametrize("altered", ["W/{tag}", '{open}-gzip"', '{open};br"', 'W/{open}-zstd"', '{open}:dcb"'])
def test_tag_that_a_proxy_has_altered_is_told_from_a_stale_one(altered: str) -> None:
    sent = altered.format(tag=TAG, open=TAG[:-1])

    with pytest.raises(PreconditionFailed) as refusal:
        Preconditions(if_match=EntityTags.parse(f'"other", {sent}')).check(CURRENT)

    assert sent in str(refusal.value)
    assert "send `If-Match: <current_etag>`" in str(refusal.value)
    assert "proxy" in str(refusal.value)


@pytest.mark.parametrize("stale", ['W/"2-q83vEjRWeJCrze8S-xxxxxxxxxxxxxxxx"', '"2-x-y-gzip"', 'W/"3"'])
def test_tag_of_another_state_is_stale_also_where_a_proxy_has_altered_it(stale: str) -> None:
    with pytest.raises(PreconditionFailed, match="does not name the current state") as refusal:
        Preconditions(if_match=EntityTags.parse(stale)).check(CURRENT)

    assert "proxy" not in str(refusal.value)
