"""The form of a playlist item: what is read from DynamoDB, and what is written back.

The table is shared. Attributes that this service does not know travel through `StoredPlaylist.item`
untouched, because a PutItem replaces the whole item; so do known attributes in a form that this
service would not have written, until a change replaces them (of tracks that cannot all be read, none does).
"""

import re

import msgspec

from app.domain.errors import PlaylistTooLarge, UnwritableItem
from app.domain.playlist import PLAYLIST_SIZE_LIMIT, VERSION_CEILING, Playlist, PlaylistContent, PlaylistSummary
from app.store.values import (
    AttributeValue,
    Item,
    Strings,
    are_equal,
    first_of,
    impossible,
    item_size,
    item_size_bound,
    number,
    number_of,
    string,
    string_list,
    string_of,
    strings_of,
    with_first,
)

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


class Condition(msgspec.Struct, frozen=True):
    """A condition or key condition expression, and the values that it compares with."""

    expression: str
    values: Item | None = None


NO_SUCH_ITEM = Condition("attribute_not_exists(partition_key)")


class StoredPlaylist(msgspec.Struct, frozen=True):
    """A playlist together with the item that it was read from or will be written as.

    `newest_write` is the first of the item's recent writes, None where there is none; `size_bound` is at
    least the bytes that DynamoDB counts of the item.
    """

    item: Item
    playlist: Playlist
    newest_write: AttributeValue | None
    size_bound: int

    @classmethod
    def from_item(cls, item: Item) -> "StoredPlaylist":
        """Read an item whatever other programs made of it; nothing in it is refused.

        Raises StorageUnavailable on what DynamoDB cannot have written.
        """
        newest_write = first_of(item.get("recent_writes"))
        return cls(item, _read_playlist(item, newest_write), newest_write, item_size_bound(item))

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
        """The item of a new playlist, at version 1. Raises PlaylistTooLarge."""
        stored = cls.from_item(
            {
                "partition_key": string(playlist_token),
                "sort_key": string(PLAYLIST_SORT_KEY),
                "playlist_name": string(content.playlist_name),
                "playlist_version": number(1),
                "track_tokens": string_list(content.track_tokens),
                "recent_writes": string_list((write_token,)),
                "playlist_owner": string(playlist_owner),
                "created_at": string(written_at),
                "updated_at": string(written_at),
            }
        )
        stored._check_size()
        return stored

    def followed_by(self, content: PlaylistContent, *, write_token: str, written_at: str) -> "StoredPlaylist":
        """The item after a write of `content` over this state: next version, window moved on.

        Where space is tight the window shrinks, down to the token of this write. Raises UnwritableItem,
        PlaylistTooLarge.
        """
        playlist_version = self._next_version()
        item = dict(self.item)
        track_count = self.playlist.track_count
        if content.track_tokens != self.playlist.track_tokens:
            if not self.playlist.shows_all_tracks:
                raise UnwritableItem(
                    current=self.playlist,
                    fault="track_tokens holds something other than strings, which an edit of the tracks would lose",
                )
            track_count = len(content.track_tokens)
            # As they were read, they are views of the whole answer, most of which is the tracks that are over.
            item = {name: value.copy() for name, value in item.items()}
            item["track_tokens"] = string_list(content.track_tokens)
        item["playlist_version"] = number(playlist_version)
        if content.playlist_name != self.playlist.playlist_name:
            item["playlist_name"] = string(content.playlist_name)
        item["updated_at"] = string(written_at)
        newest_write = string(write_token)
        item["recent_writes"] = with_first(item.get("recent_writes"), newest_write, most=RECENT_WRITES_KEPT)
        size_bound = item_size_bound(item)
        if size_bound > ITEM_SIZE_LIMIT:
            spare = ITEM_SIZE_LIMIT - item_size(item)
            window = strings_of(item["recent_writes"])
            while spare < 0 and len(window) > 1:
                spare += 1 + len(window[-1].encode())
                window = window[:-1]
            item["recent_writes"] = string_list(window)
        playlist = Playlist(
            playlist_token=self.playlist.playlist_token,
            playlist_name=content.playlist_name,
            playlist_version=playlist_version,
            track_tokens=content.track_tokens,
            track_count=track_count,
            playlist_owner=self.playlist.playlist_owner,
            created_at=self.playlist.created_at,
            updated_at=written_at,
            write_token=write_token,
        )
        successor = StoredPlaylist(item, playlist, newest_write, size_bound)
        successor._check_size()
        return successor

    @property
    def recent_writes(self) -> tuple[str, ...]:
        """The tokens of the last writes of this service, newest first."""
        return strings_of(self.item.get("recent_writes"))

    @property
    def names_a_write(self) -> bool:
        """Whether a condition on this state names one write, and not only a number that may come again."""
        return self.newest_write is not None

    def still_current(self) -> Condition:
        """Holds while nobody has written since this state was read.

        The version alone would hold again after a delete and a re-creation at the same version,
        so the newest write token has to be the same too.
        """
        values: Item = {}
        if (read_version := self.item.get("playlist_version")) is None:
            # An item that is gone has no version either.
            version = "attribute_exists(partition_key) AND attribute_not_exists(playlist_version)"
        else:
            version = "playlist_version = :read_version"
            values[":read_version"] = read_version
        if self.newest_write is None:
            newest = "attribute_not_exists(recent_writes[0])"
        else:
            newest = "recent_writes[0] = :read_write"
            values[":read_write"] = self.newest_write
        return Condition(f"{version} AND {newest}", values or None)

    def is_state_of(self, other: "StoredPlaylist") -> bool:
        """Whether a write conditioned on one would still be made on the other."""
        return are_equal(self.item.get("playlist_version"), other.item.get("playlist_version")) and (
            are_equal(self.newest_write, other.newest_write)
        )

    def holds_same_as(self, other: "StoredPlaylist") -> bool:
        """Whether the two items are equal in each attribute."""
        return self.item.keys() == other.item.keys() and (
            all(are_equal(value, other.item[name]) for name, value in self.item.items())
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

    def _next_version(self) -> int:
        version = self.playlist.playlist_version
        if "playlist_version" not in self.item:
            return 1
        if version is None or version + 1 >= VERSION_CEILING:
            raise UnwritableItem(
                current=self.playlist,
                fault="playlist_version is not a whole number, or is at the end of its range, so no write can count "
                "it up",
            )
        return version + 1

    def _check_size(self) -> None:
        if self.size_bound > ITEM_SIZE_LIMIT and (size := item_size(self.item)) > ITEM_SIZE_LIMIT:
            raise PlaylistTooLarge(size=size, limit=ITEM_SIZE_LIMIT)


def owned_by(playlist_owner: str) -> Condition:
    """Of the owner index: everything with this owner."""
    return Condition("playlist_owner = :playlist_owner", {":playlist_owner": string(playlist_owner)})


def owner_index_key(playlist_owner: str, playlist_token: str) -> Item:
    """The whole key of a playlist in the owner index."""
    return {
        "playlist_owner": string(playlist_owner),
        "partition_key": string(playlist_token),
        "sort_key": string(PLAYLIST_SORT_KEY),
    }


def is_playlist(item: Item) -> bool:
    return _key_part(item, "sort_key") == PLAYLIST_SORT_KEY


def read_summary(item: Item) -> PlaylistSummary:
    """Read what the owner index has of a playlist, whatever other programs made of it. Raises as `from_item`."""
    return PlaylistSummary(
        playlist_token=_key_part(item, "partition_key"),
        playlist_name=string_of(item.get("playlist_name")) or "",
        playlist_version=_version(item.get("playlist_version")),
        playlist_owner=_key_part(item, "playlist_owner"),
        created_at=string_of(item.get("created_at")),
        updated_at=string_of(item.get("updated_at")),
    )


def _read_playlist(item: Item, newest_write: AttributeValue | None) -> Playlist:
    write_token = string_of(newest_write)
    track_tokens = Strings(item.get("track_tokens"))
    return Playlist(
        playlist_token=_key_part(item, "partition_key"),
        playlist_name=string_of(item.get("playlist_name")) or "",
        playlist_version=_version(item.get("playlist_version")),
        track_tokens=track_tokens,
        track_count=track_tokens.element_count,
        playlist_owner=string_of(item.get("playlist_owner")),
        created_at=string_of(item.get("created_at")),
        updated_at=string_of(item.get("updated_at")),
        write_token=write_token if write_token and _NAMEABLE_WRITE.fullmatch(write_token) else None,
    )


def _key_part(item: Item, name: str) -> str:
    part = string_of(item.get(name))
    if part is None:
        raise impossible(f"a {name}")
    return part


def _version(value: AttributeValue | None) -> int | None:
    version = number_of(value)
    if version is None or not -VERSION_CEILING <= version < VERSION_CEILING:
        return None
    return None if version != int(version) else int(version)
