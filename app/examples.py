"""The playlists that `playlists dev` starts with; the examples of the docs page count on them."""

from app.api.dependencies import ANONYMOUS
from app.domain.errors import PlaylistExists
from app.domain.playlist import PlaylistContent
from app.store.playlists import PlaylistRepository

# Renamed once after its creation, so that version 1 is always a stale one.
RENAMED = "PLAYLIST_1"
EXAMPLES = {
    "PLAYLIST_1": PlaylistContent("Morning Run", ("ALBUM_1/TRACK_1", "ALBUM_1/TRACK_2", "ALBUM_3/TRACK_5")),
    "PLAYLIST_2": PlaylistContent("Deep Focus", ("ALBUM_2/TRACK_7",)),
    "PLAYLIST_3": PlaylistContent("An Empty One"),
}


async def add_examples(playlists: PlaylistRepository) -> None:
    """Create the example playlists that are not there yet."""
    for playlist_token, content in EXAMPLES.items():
        first = PlaylistContent("Untitled", content.track_tokens) if playlist_token == RENAMED else content
        try:
            await playlists.create(playlist_token, first, playlist_owner=ANONYMOUS)
        except PlaylistExists:
            continue
        await playlists.update(playlist_token, content.replace)
