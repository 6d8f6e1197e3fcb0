"""Changes that a client describes in a patch document; each is a function Playlist -> Playlist."""

from dataclasses import dataclass

from app.domain.playlist import Playlist


@dataclass(frozen=True, slots=True)
class MergePatch:
    """An RFC 7396 merge patch of the writable members; None stands for a member left out.

    Null would remove a member (RFC 7396 section 2), and a playlist has none to spare, so it never
    gets here: the API refuses it.
    """

    playlist_name: str | None = None
    track_tokens: tuple[str, ...] | None = None

    def apply(self, playlist: Playlist) -> Playlist:
        if self.playlist_name is not None:
            playlist = playlist.renamed(self.playlist_name)
        if self.track_tokens is not None:
            playlist = playlist.with_tracks(self.track_tokens)
        return playlist
