"""The form of a playlist item: what is read from DynamoDB, and what is written back.

The table is shared. Attributes that this service does not know travel through `StoredPlaylist.item`
untouched, because a PutItem replaces the whole item; so do known attributes in a form that this
service would not have written, until a change replaces them (of tracks that cannot all be read, none does).
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from app.domain.playlist import PLAYLIST_SIZE_LIMIT, VERSION_CEILING, Playlist, PlaylistContent, PlaylistSummary

# One key, the type descriptor, and the value: {"S": "text"}, {"L": [{"N": "1"}]}.
AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]

PLAYLIST_SORT_KEY = "INFO_"
PLAYS_SORT_KEY = "PLAYS_"
PLAY_COUNT = "play_count"
RECENT_WRITES_KEPT = 16
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
ITEM_SIZE_LIMIT = PLAYLIST_SIZE_LIMIT
PARTITION_KEY_SIZE_LIMIT = 2_048
SORT_KEY_SIZE_LIMIT = 1_024

# What may stand between the quotes of an entity-tag and cannot be taken for a version.
_NAMEABLE_WRITE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition or key condition expression, and the values that it compares with."""

    expression: str
    values: Item | None = None


NO_SUCH_ITEM = Condition("attribute_not_exists(partition_key)")


@dataclass(frozen=True, slots=True)
class StoredPlaylist:
    """A playlist together with the item that it was read from or will be written as."""

    item: Item
    playlist: Playlist

    @classmethod
    def from_item(cls, item: Item) -> "StoredPlaylist":
        """Read an item whatever other programs made of it; nothing in it is refused."""
        return cls(item=item, playlist=_read_playlist(item))

    @classmethod
    def created(
        cls,
        playlist_token: str,
        content: PlaylistContent,
        *,
        playlist_owner: str,
        write_token: str,
        written_at: str,
    ) -> "StoredPlaylist":
        """The item of a new playlist, at version 1."""
        return cls.from_item(
            {
                "partition_key": {"S": playlist_token},
                "sort_key": {"S": PLAYLIST_SORT_KEY},
                "playlist_name": {"S": content.playlist_name},
                "playlist_version": {"N": "1"},
                "track_tokens": _string_list(content.track_tokens),
                "recent_writes": _string_list((write_token,)),
                "playlist_owner": {"S": playlist_owner},
                "created_at": {"S": written_at},
                "updated_at": {"S": written_at},
            }
        )

    def followed_by(self, changed: Playlist, *, write_token: str, written_at: str) -> "StoredPlaylist":
        """The item after a write that turns this state into `changed`: next version, window moved on.

        Where space is tight the window shrinks, down to the token of this write.
        """
        if self.playlist.playlist_version is None:
            raise ValueError("an item without a usable version has no next one")
        item = dict(self.item)
        item["playlist_version"] = {"N": str(self.playlist.playlist_version + 1)}
        if changed.playlist_name != self.playlist.playlist_name:
            item["playlist_name"] = {"S": changed.playlist_name}
        if changed.track_tokens != self.playlist.track_tokens:
            item["track_tokens"] = _string_list(changed.track_tokens)
        item["updated_at"] = {"S": written_at}
        window = (write_token, *self.recent_writes)[:RECENT_WRITES_KEPT]
        item["recent_writes"] = _string_list(window)
        spare = ITEM_SIZE_LIMIT - item_size(item)
        while spare < 0 and len(window) > 1:
            spare += 1 + len(window[-1].encode())
            window = window[:-1]
        item["recent_writes"] = _string_list(window)
        return StoredPlaylist.from_item(item)

    @property
    def recent_writes(self) -> tuple[str, ...]:
        """The tokens of the last writes of this service, newest first."""
        return _strings(self.item.get("recent_writes"))

    @property
    def shows_all_tracks(self) -> bool:
        """Whether the tracks that were read are all that the item holds of them."""
        tracks = self.item.get("track_tokens")
        return tracks is None or ("L" in tracks and len(tracks["L"]) == len(self.playlist.track_tokens))

    @property
    def names_a_write(self) -> bool:
        """Whether a condition on this state names one write, and not only a number that may come again."""
        return _head(self.item.get("recent_writes")) is not None

    def still_current(self) -> Condition:
        """Holds while nobody has written since this state was read.

        The version alone would hold again after a delete and a re-creation at the same version,
        so the newest write token has to be the same too.
        """
        values: Item = {":read_version": self.item["playlist_version"]}
        head = _head(self.item.get("recent_writes"))
        if head is None:
            newest = "attribute_not_exists(recent_writes[0])"
        else:
            newest = "recent_writes[0] = :read_write"
            values[":read_write"] = head
        return Condition(f"playlist_version = :read_version AND {newest}", values)

    def is_state_of(self, other: "StoredPlaylist") -> bool:
        """Whether a write conditioned on one would still be made on the other."""
        return self.item.get("playlist_version") == other.item.get("playlist_version") and (
            _head(self.item.get("recent_writes")) == _head(other.item.get("recent_writes"))
        )

    def rules_out_write_from(self, read: "StoredPlaylist") -> bool:
        """Whether this state, which does not know the token of a write made from `read`, proves that
        the write was never applied.

        It does if the window reaches back to before that write; or if this is the version that the
        write would have made, and the playlist was not made anew since.
        """
        is_its_version = (
            read.playlist.playlist_version is not None
            and self.playlist.playlist_version == read.playlist.playlist_version + 1
        )
        return self._window_reaches_back_to(read) or (is_its_version and self._is_of_creation_of(read))

    def rules_out_deletion_from(self, read: "StoredPlaylist") -> bool:
        """Whether this state proves that `read` was not deleted: it is one of the same creation."""
        return self._window_reaches_back_to(read) or self._is_of_creation_of(read)

    def _window_reaches_back_to(self, read: "StoredPlaylist") -> bool:
        return bool(read.recent_writes) and read.recent_writes[0] in self.recent_writes

    def _is_of_creation_of(self, other: "StoredPlaylist") -> bool:
        """Whether both are known to be states of one playlist, with no deletion in between."""
        created_at = self.playlist.created_at
        return created_at is not None and created_at == other.playlist.created_at

    @property
    def size(self) -> int:
        """Bytes that DynamoDB counts for the item."""
        return item_size(self.item)


def owned_by(playlist_owner: str) -> Condition:
    """Of the owner index: everything with this owner."""
    return Condition("playlist_owner = :playlist_owner", {":playlist_owner": {"S": playlist_owner}})


def owner_index_key(playlist_owner: str, playlist_token: str) -> Item:
    """The whole key of a playlist in the owner index."""
    return {
        "playlist_owner": {"S": playlist_owner},
        "partition_key": {"S": playlist_token},
        "sort_key": {"S": PLAYLIST_SORT_KEY},
    }


def is_playlist(item: Item) -> bool:
    return item["sort_key"] == {"S": PLAYLIST_SORT_KEY}


def read_summary(item: Item) -> PlaylistSummary:
    """Read what the owner index has of a playlist, whatever other programs made of it."""
    return PlaylistSummary(
        playlist_token=item["partition_key"]["S"],
        playlist_name=_string(item.get("playlist_name")) or "",
        playlist_version=_version(item.get("playlist_version")),
        playlist_owner=item["playlist_owner"]["S"],
        created_at=_string(item.get("created_at")),
        updated_at=_string(item.get("updated_at")),
    )


def item_size(item: Item) -> int:
    """Bytes by DynamoDB's rule; numbers without their leading and trailing zeros.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(attribute: AttributeValue) -> int:
    [(kind, value)] = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return _number_size(value)
        case "B":
            return len(value)
        case "L":
            return 3 + sum(1 + _value_size(element) for element in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(element) for name, element in value.items())
        case "SS":
            return sum(len(element.encode()) for element in value)
        case "NS":
            return sum(_number_size(element) for element in value)
        case "BS":
            return sum(len(element) for element in value)
        case _:  # NULL and BOOL
            return 1


def _number_size(number: str) -> int:
    digits = len(number.lstrip("-").replace(".", "").strip("0"))
    return 1 + (digits + 1) // 2 + number.startswith("-")


def _read_playlist(item: Item) -> Playlist:
    head = _head(item.get("recent_writes"))
    write_token = None if head is None else head.get("S")
    return Playlist(
        playlist_token=item["partition_key"]["S"],
        playlist_name=_string(item.get("playlist_name")) or "",
        playlist_version=_version(item.get("playlist_version")),
        track_tokens=_strings(item.get("track_tokens")),
        playlist_owner=_string(item.get("playlist_owner")),
        created_at=_string(item.get("created_at")),
        updated_at=_string(item.get("updated_at")),
        write_token=write_token if write_token and _NAMEABLE_WRITE.fullmatch(write_token) else None,
    )


def _version(attribute: AttributeValue | None) -> int | None:
    try:
        number = Decimal((attribute or {}).get("N", ""))
    except (InvalidOperation, TypeError):
        return None
    if number != number.to_integral_value() or not -VERSION_CEILING <= number < VERSION_CEILING:
        return None
    return int(number)


def _string(attribute: AttributeValue | None) -> str | None:
    return None if attribute is None else attribute.get("S")


def _strings(attribute: AttributeValue | None) -> tuple[str, ...]:
    if attribute is None:
        return ()
    return tuple(element["S"] for element in attribute.get("L", ()) if "S" in element)


def _head(attribute: AttributeValue | None) -> AttributeValue | None:
    elements = () if attribute is None else attribute.get("L", ())
    return elements[0] if elements else None


def _string_list(strings: tuple[str, ...]) -> AttributeValue:
    return {"L": [{"S": string} for string in strings]}
