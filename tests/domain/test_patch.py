import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import DuplicateTrack, PatchNotApplicable
from app.domain.patch import MergePatch, TrackInsertion
from tests.domain.test_playlist import a_playlist

PLAYLIST = a_playlist(track_tokens=("A/1",))


def test_merge_patch_leaves_alone_what_it_does_not_name() -> None:
    assert MergePatch(playlist_name="New").apply(PLAYLIST) == PLAYLIST.renamed("New")
    assert MergePatch(track_tokens=()).apply(PLAYLIST) == PLAYLIST.with_tracks(())


def test_empty_merge_patch_changes_nothing() -> None:
    assert MergePatch().apply(PLAYLIST) == PLAYLIST.content


TOKENS = st.lists(st.sampled_from([f"A/{number}" for number in range(6)]), max_size=8).map(tuple)


@given(present=TOKENS, inserted=TOKENS, position=st.integers(0, 8))
def test_insertion_puts_all_tracks_in_and_keeps_the_others_in_order(
    present: tuple[str, ...], inserted: tuple[str, ...], position: int
) -> None:
    position = min(position, len(present))

    tracks = (
        TrackInsertion(track_tokens=inserted, position=position).apply(a_playlist(track_tokens=present)).track_tokens
    )

    assert tracks == (*present[:position], *inserted, *present[position:])


@given(present=TOKENS, inserted=TOKENS)
def test_skipping_leaves_no_track_twice_that_was_not_so_before(
    present: tuple[str, ...], inserted: tuple[str, ...]
) -> None:
    tracks = (
        TrackInsertion(track_tokens=inserted, on_duplicate="skip").apply(a_playlist(track_tokens=present)).track_tokens
    )

    assert tracks[: len(present)] == present
    assert set(tracks) == {*present, *inserted}
    assert len(tracks) - len(present) == len(set(inserted) - set(present))


@given(present=TOKENS, inserted=TOKENS)
def test_rejecting_inserts_all_or_nothing(present: tuple[str, ...], inserted: tuple[str, ...]) -> None:
    insertion = TrackInsertion(track_tokens=inserted, on_duplicate="reject")

    if len({*present, *inserted}) == len(set(present)) + len(inserted):
        assert insertion.apply(a_playlist(track_tokens=present)).track_tokens == present + inserted
    else:
        with pytest.raises(DuplicateTrack):
            insertion.apply(a_playlist(track_tokens=present))


def test_position_beyond_the_end_is_not_applicable() -> None:
    with pytest.raises(PatchNotApplicable) as refused:
        TrackInsertion(track_tokens=("A/1",), position=2).apply(PLAYLIST)

    assert refused.value.current == PLAYLIST
