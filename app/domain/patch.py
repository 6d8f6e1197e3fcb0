"""Changes that a client describes; each is a function Playlist -> PlaylistContent."""

from dataclasses import dataclass
from typing import Literal

from app.domain.errors import DuplicateTrack, PatchNotApplicable
from app.domain.playlist import Playlist, PlaylistContent


@dataclass(frozen=True, slots=True)
class MergePatch:
    """An RFC 7396 merge patch of the writable members; None stands for a member left out.

    Null would remove a member (RFC 7396 section 2), and a playlist has none to spare, so it never
    gets here: the API refuses it.
    """

    playlist_name: str | None = None
    track_tokens: tuple[str, ...] | None = None

    def apply(self, playlist: Playlist) -> PlaylistContent:
        return PlaylistContent(
            playlist.playlist_name if self.playlist_name is None else self.playlist_name,
            playlist.track_tokens if self.track_tokens is None else self.track_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackInsertion:
    """Tracks to put in before index `position`, None for the end.

    `on_duplicate` says what becomes of a track that the playlist, or this insertion before it, has
    already: `add` it once more, `skip` it, or `reject` the whole.
    """

    track_tokens: tuple[str, ...]
    position: int | None = None
    on_duplicate: Literal["add", "skip", "reject"] = "add"

    def apply(self, playlist: Playlist) -> PlaylistContent:
        """Raises PatchNotApplicable if the playlist is shorter than `position`, DuplicateTrack."""
        present = playlist.track_tokens
        position = len(present) if self.position is None else self.position
        if position > len(present):
            raise PatchNotApplicable(
                f"insert at {position}", f"it has {len(present)} tracks, and ends there", current=playlist
            )
        return playlist.with_tracks((*present[:position], *self._wanted(playlist), *present[position:]))

    def _wanted(self, playlist: Playlist) -> tuple[str, ...]:
        if self.on_duplicate == "add":
            return self.track_tokens
        seen = set(playlist.track_tokens)
        wanted: list[str] = []
        for track_token in self.track_tokens:
            if track_token not in seen:
                seen.add(track_token)
                wanted.append(track_token)
            elif self.on_duplicate == "reject":
                raise DuplicateTrack(track_token, current=playlist)
        return tuple(wanted)
