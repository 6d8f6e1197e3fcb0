"""States that playlists were last seen in, from which a write may start without a read."""

import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from app.store.items import StoredPlaylist

# Its values as text, and decoded twice: as strings, which take some 50 bytes more than their characters, and as JSON.
_BYTES_IN_MEMORY_PER_BYTE = 5
_BYTES_PER_ENTRY = 1_000
# How old a base may be. A PutItem writes all attributes, so it takes back what other programs have set meanwhile
# without raising the version, which no condition shows.
_YOUNG_SECONDS = 1.0
# A failed condition costs write units by the item's size, so where others write too, reading first is cheaper.
_SHUNNED_SECONDS = 1.0


class _Entry(msgspec.Struct):
    """`seen` is None where a base was over: no other one is kept for a while."""

    seen: StoredPlaylist | None
    since: float
    size: int


class Bases:
    """A bounded cache by playlist token; what was not used for longest goes first.

    A base may be over by the time it is used. It is good for one thing: a write on the condition that
    it is not. Whatever else comes of it has to be found out anew, on a fresh read.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit` in bytes, about; 0 keeps nothing."""
        self._limit = limit
        self._clock = clock
        self._size = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def young(self, playlist_token: str) -> StoredPlaylist | None:
        """The state that the playlist was seen in just now, for a write to start from."""
        entry = self._entries.get(playlist_token)
        if entry is None or self._clock() - entry.since > _YOUNG_SECONDS:
            return None
        return entry.seen

    def last_seen(self, playlist_token: str) -> StoredPlaylist | None:
        """The state that the playlist was seen in last, however long ago."""
        entry = self._entries.get(playlist_token)
        if entry is None:
            return None
        self._entries.move_to_end(playlist_token)
        return entry.seen

    def keep(self, seen: StoredPlaylist) -> None:
        """Keep a state that was read or written just now.

        One that names no write is not kept: a condition on its version alone can hold again. Nor is one
        that a later one is known of: requests may come here in another order than they saw the table.
        """
        playlist_token = seen.playlist.playlist_token
        entry = self._entries.get(playlist_token)
        if entry is not None and entry.seen is None and self._clock() - entry.since < _SHUNNED_SECONDS:
            return
        if entry is not None and entry.seen is seen:
            entry.since = self._clock()
            self._entries.move_to_end(playlist_token)
            return
        if entry is not None and entry.seen is not None and entry.seen.is_later_than(seen):
            return
        self.forget(playlist_token)
        if seen.playlist.write_token is not None and seen.playlist.has_next_version:
            self._add(playlist_token, seen, seen.size_bound * _BYTES_IN_MEMORY_PER_BYTE)

    def forget(self, playlist_token: str) -> None:
        """Forget a playlist that is gone."""
        entry = self._entries.pop(playlist_token, None)
        if entry is not None:
            self._size -= entry.size

    def shun(self, base: StoredPlaylist) -> None:
        """Forget a base that was over, and keep none of its playlist for a while."""
        playlist_token = base.playlist.playlist_token
        entry = self._entries.get(playlist_token)
        if entry is None or entry.seen is base:
            self.forget(playlist_token)
            self._add(playlist_token, None, 0)

    def _add(self, playlist_token: str, seen: StoredPlaylist | None, size: int) -> None:
        entry = _Entry(seen, self._clock(), size + _BYTES_PER_ENTRY)
        if entry.size > self._limit:
            return
        self._entries[playlist_token] = entry
        self._size += entry.size
        while self._size > self._limit:
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.size
