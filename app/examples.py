"""The playlists that `playlists dev` starts with; the examples of the docs page count on them."""

from contextlib import suppress

from app.domain.access import ANONYMOUS
from app.domain.errors import PlaylistExists
from app.domain.playlist import Playlist, PlaylistContent
from app.store.playlists import PlaylistRepository

# Renamed once after its creation, so that version 1 is always a stale one.
RENAMED = "PLAYLIST_1"
EXAMPLES = {
    "PLAYLIST_1": PlaylistContent("Morning Run", ("ALBUM_1/TRACK_1", "ALBUM_1/TRACK_2", "ALBUM_3/TRACK_5")),
    "PLAYLIST_2": PlaylistContent("Deep Focus", ("ALBUM_2/TRACK_7",)),
    "PLAYLIST_3": PlaylistContent("An Empty One"),
}
_UNTITLED = PlaylistContent("Untitled", EXAMPLES[RENAMED].track_tokens)


async def add_examples(playlists: PlaylistRepository) -> None:
    """Create the example playlists that are not there yet, and finish what an earlier start was cut off in."""
    for playlist_token, content in EXAMPLES.items():
        first = _UNTITLED if playlist_token == RENAMED else content
        with suppress(PlaylistExists):
            await playlists.create(playlist_token, first, caller=ANONYMOUS)
    await playlists.update(RENAMED, _titled, caller=ANONYMOUS)


def _titled(playlist: Playlist) -> PlaylistContent:
    untouched = playlist.playlist_version == 1 and playlist.content == _UNTITLED
    return EXAMPLES[RENAMED] if untouched else playlist.content
