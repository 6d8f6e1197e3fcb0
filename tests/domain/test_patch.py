from app.domain.patch import MergePatch
from tests.domain.test_playlist import a_playlist

PLAYLIST = a_playlist(track_tokens=("A/1",))


def test_merge_patch_leaves_alone_what_it_does_not_name() -> None:
    assert MergePatch(playlist_name="New").apply(PLAYLIST) == PLAYLIST.renamed("New")
    assert MergePatch(track_tokens=()).apply(PLAYLIST) == PLAYLIST.with_tracks(())


def test_empty_merge_patch_changes_nothing() -> None:
    assert MergePatch().apply(PLAYLIST) == PLAYLIST
