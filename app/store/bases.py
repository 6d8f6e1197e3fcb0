"""States that playlists were last seen in, from which a write may start without a read."""

import time
from collections import OrderedDict
from collections.abc import Callable

from app.store.items import StoredPlaylist
from app.store.values import item_size_bound

# Its values as text, and decoded twice: as strings, which take some 50 bytes more than their characters, and as JSON.
_BYTES_IN_MEMORY_PER_BYTE = 5
_BYTES_PER_ENTRY = 1_000
# A failed condition costs write units by the item's size, so where others write too, reading first is cheaper.
_SHUNNED_SECONDS = 1.0


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
        # None where a base was over: until when no other one is kept.
        self._entries: OrderedDict[str, tuple[StoredPlaylist | None, int, float]] = OrderedDict()

    def get(self, playlist_token: str) -> StoredPlaylist | None:
        """The state that the playlist was last seen in, if it is known."""
        entry = self._entries.get(playlist_token)
        if entry is None or entry[0] is None:
            return None
        self._entries.move_to_end(playlist_token)
        return entry[0]

    def keep(self, seen: StoredPlaylist) -> None:
        """Keep a state that was read or written just now.

        One that names no write is not kept: a condition on its version alone can hold again.
        """
        playlist_token = seen.playlist.playlist_token
        entry = self._entries.get(playlist_token)
        if entry is not None and entry[0] is None and self._clock() < entry[2]:
            return
        self._drop(playlist_token)
        if seen.playlist.write_token is None or not seen.playlist.has_next_version:
            return
        self._add(playlist_token, seen, item_size_bound(seen.item) * _BYTES_IN_MEMORY_PER_BYTE)

    def forget(self, playlist_token: str) -> None:
        """Forget a playlist that is gone."""
        self._drop(playlist_token)

    def shun(self, playlist_token: str) -> None:
        """Forget a base that was over, and keep none of this playlist for a while."""
        self._drop(playlist_token)
        self._add(playlist_token, None, 0)

    def _add(self, playlist_token: str, seen: StoredPlaylist | None, size: int) -> None:
        size += _BYTES_PER_ENTRY
        if size > self._limit:
            return
        self._entries[playlist_token] = (seen, size, self._clock() + _SHUNNED_SECONDS)
        self._size += size
        while self._size > self._limit:
            _, (_, freed, _) = self._entries.popitem(last=False)
            self._size -= freed

    def _drop(self, playlist_token: str) -> None:
        entry = self._entries.pop(playlist_token, None)
        if entry is not None:
            self._size -= entry[1]
