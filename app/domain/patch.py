"""Changes that a client describes; each is a function of the current playlist that returns its new content.

Limits apply to what a change adds: a name or a track token that the playlist has already is never refused for
its form, whichever program has stored it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from app.domain.errors import FAULTS_LISTED, DuplicateTrack, InvalidChange, PatchNotApplicable
from app.domain.playlist import Playlist, PlaylistContent, playlist_name_fault, track_token_fault


def _check_name(playlist_name: str, *, current: Playlist | None) -> None:
    """Raises InvalidChange if the name may not be stored and is not the current one."""
    if (fault := playlist_name_fault(playlist_name)) and (current is None or playlist_name != current.playlist_name):
        raise InvalidChange([("/playlist_name", fault)])


def check_track_tokens(
    track_tokens: Iterable[str], *, current: Playlist | None = None, narrowed_to: re.Pattern[str] | None = None
) -> None:
    """Raises InvalidChange for those that may not be stored and are not in the current playlist as often.

    `narrowed_to` is as in `track_token_fault`.
    """
    if listed := list(islice(_track_faults(track_tokens, current, narrowed_to), FAULTS_LISTED)):
        raise InvalidChange(listed)


def _track_faults(
    track_tokens: Iterable[str], current: Playlist | None, narrowed_to: re.Pattern[str] | None
) -> Iterator[tuple[str, str]]:
    kept: Counter[str] = Counter()
    for index, track_token in enumerate(track_tokens):
        if fault := track_token_fault(track_token, narrowed_to=narrowed_to):
            kept[track_token] += 1
            if current is None or kept[track_token] > current.occurrences[track_token]:
                yield f"/track_tokens/{index}", fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A playlist's whole content, whatever it was before; None stands for no playlist."""

    playlist_name: str
    track_tokens: Sequence[str]
    narrowed_to: re.Pattern[str] | None = None

    def apply(self, playlist: Playlist | None) -> PlaylistContent:
        """Raises InvalidChange."""
        _check_name(self.playlist_name, current=playlist)
        check_track_tokens(self.track_tokens, current=playlist, narrowed_to=self.narrowed_to)
        return PlaylistContent(self.playlist_name, self.track_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePatch:
    """An RFC 7396 merge patch of the writable members; None stands for a member left out.

    Null would remove a member (RFC 7396 section 2), and a playlist has none to spare, so it never
    gets here: the API refuses it.
    """

    playlist_name: str | None = None
    track_tokens: Sequence[str] | None = None
    narrowed_to: re.Pattern[str] | None = None

    def apply(self, playlist: Playlist) -> PlaylistContent:
        """Raises InvalidChange."""
        playlist_name, track_tokens = playlist.playlist_name, playlist.track_tokens
        if self.playlist_name is not None:
            playlist_name = self.playlist_name
            _check_name(playlist_name, current=playlist)
        if self.track_tokens is not None:
            track_tokens = self.track_tokens
            check_track_tokens(track_tokens, current=playlist, narrowed_to=self.narrowed_to)
        return PlaylistContent(playlist_name, track_tokens)


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
