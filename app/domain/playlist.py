"""What a playlist is, which content it may have, and what names its state."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import msgspec

# A version has to leave room for the next one in a signed 64-bit integer (Kotlin's Long).
VERSION_CEILING = 2**63 - 1
# A playlist is one DynamoDB item, and this is the most bytes that one holds.
PLAYLIST_SIZE_LIMIT = 409_600

NAME_MAX_LENGTH = 200
# ECMA-262 and Python read these patterns alike, so the OpenAPI document shows what is enforced. U+FEFF is named
# because it is white space in ECMA-262 only.
NAME_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\ufeff\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
TRACK_TOKEN_PATTERN = r"^[^/\s\ufeff\u0000-\u001f\u007f-\u009f]{1,128}/[^/\s\ufeff\u0000-\u001f\u007f-\u009f]{1,128}$"
PLAYLIST_TOKEN_PATTERN = r"^[A-Za-z0-9_.~-]{1,128}$"

_BLANK = re.compile(r"[\s\ufeff]*")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TRACK_TOKEN = re.compile(TRACK_TOKEN_PATTERN.removesuffix("$"))
_PLAYLIST_TOKEN = re.compile(PLAYLIST_TOKEN_PATTERN.removesuffix("$"))

PLAYLIST_MEMBERS = (
    "playlist_token",
    "playlist_name",
    "playlist_version",
    "track_tokens",
    "track_count",
    "playlist_owner",
    "created_at",
    "updated_at",
)
SUMMARY_MEMBERS = tuple(name for name in PLAYLIST_MEMBERS if name not in ("track_tokens", "track_count"))
_CHECKSUM_BYTES = 12


def _encode_tracks(track_tokens: Any) -> msgspec.Raw:
    # Tracks that nobody has decoded yet know their JSON already.
    encoded: msgspec.Raw = track_tokens.as_json()
    return encoded


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_tracks)
_values_of = attrgetter(*PLAYLIST_MEMBERS)


@dataclass(frozen=True, slots=True)
class PlaylistContent:
    """What of a playlist its clients set."""

    playlist_name: str
    track_tokens: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Playlist:
    """One state of one playlist.

    `playlist_version` is None where the item has none, or one that cannot be counted up: of another type,
    fractional, or at the end of its range. `track_count` is the number of elements that the item holds; there
    are fewer `track_tokens` where some of them are not strings. `playlist_owner`, `created_at` and
    `updated_at` (RFC 3339 UTC) are None where another program made the item. `write_token` names the newest
    write of this service that the item lists, None where it lists none.
    """

    playlist_token: str
    playlist_name: str
    playlist_version: int | None
    track_tokens: Sequence[str]
    track_count: int
    playlist_owner: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    write_token: str | None = None

    @cached_property
    def representation(self) -> bytes:
        """The playlist as JSON in UTF-8: the same bytes for the same state, wherever it was read or written."""
        return _ENCODER.encode(dict(zip(PLAYLIST_MEMBERS, _values_of(self), strict=True)))

    @cached_property
    def entity_tag(self) -> str:
        """The strong entity-tag of this state (RFC 9110 section 8.8.3), quotes included.

        `"{version}-{newest write}-{checksum of the representation}"`, a part that there is none of left empty.
        The newest write tells apart two playlists of the same version, one made after the other was deleted; the
        checksum tells apart two states between which another program raised no version.
        """
        checksum = urlsafe_b64encode(hashlib.sha256(self.representation).digest()[:_CHECKSUM_BYTES]).decode()
        version = "" if self.playlist_version is None else self.playlist_version
        return f'"{version}-{self.write_token or ""}-{checksum}"'

    @property
    def shows_all_tracks(self) -> bool:
        """Whether `track_tokens` are all that the item holds."""
        return len(self.track_tokens) == self.track_count

    @cached_property
    def occurrences(self) -> Counter[str]:
        """How often each track token stands in the playlist; 0 for all others."""
        return Counter(self.track_tokens)

    @property
    def content(self) -> PlaylistContent:
        return PlaylistContent(self.playlist_name, self.track_tokens)

    def renamed(self, playlist_name: str) -> PlaylistContent:
        return PlaylistContent(playlist_name, self.track_tokens)

    def with_tracks(self, track_tokens: Sequence[str]) -> PlaylistContent:
        return PlaylistContent(self.playlist_name, track_tokens)

    def members_differing_from(self, other: "Playlist") -> tuple[str, ...]:
        """The names of the public members in which the two states differ."""
        return tuple(name for name in PLAYLIST_MEMBERS if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistSummary:
    """A playlist without its tracks; what is None here is None in its `Playlist` too."""

    playlist_token: str
    playlist_name: str
    playlist_version: int | None
    playlist_owner: str
    created_at: str | None
    updated_at: str | None


@dataclass(frozen=True, slots=True)
class PlaylistPage:
    """A part of a list, and the token after which the next one begins; None if this is the last."""

    items: tuple[PlaylistSummary, ...]
    next_after: str | None


def playlist_name_fault(playlist_name: str) -> str | None:
    """Say what makes a name unfit, or None if it may be stored."""
    if _BLANK.fullmatch(playlist_name):
        return "must not be blank"
    if len(playlist_name) > NAME_MAX_LENGTH:
        return f"must have at most {NAME_MAX_LENGTH} characters, has {len(playlist_name)}"
    if _CONTROL_CHARACTER.search(playlist_name):
        return "must not contain control characters"
    if _has_lone_surrogate(playlist_name):
        return "must not contain a lone surrogate"
    return None


def track_token_fault(track_token: str, *, narrowed_to: re.Pattern[str] | None = None) -> str | None:
    """Say what makes a track token unfit, or None if it may be stored.

    `narrowed_to` is the form that this library's other readers need on top of the general one.
    """
    if not _TRACK_TOKEN.fullmatch(track_token) or _has_lone_surrogate(track_token):
        return "must be album/track: two parts of 1 to 128 characters without '/', white space or control characters"
    if narrowed_to is not None and not narrowed_to.fullmatch(track_token):
        return f"must match this library's track token pattern {narrowed_to.pattern}"
    return None


def playlist_token_fault(playlist_token: str) -> str | None:
    """Say what makes a token unfit to be chosen for a new playlist, or None if it may be."""
    if playlist_token in (".", ".."):
        return "must not be a dot segment: clients take it out of the path (RFC 3986 section 5.2.4)"
    if not _PLAYLIST_TOKEN.fullmatch(playlist_token):
        return "must have 1 to 128 characters, each a letter, a digit or one of _ . ~ -"
    return None


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
