"""Play counters: atomic counters beside the playlists, in items of their own.

A counter is not locked on a version: DynamoDB adds to it ("Atomic counters" in its developer guide
and in Tempest's), so that a play never makes a rename conflict, nor a rename a play.
"""

import logging

from app.domain.errors import (
    KeyedCountUnavailable,
    OutcomeUnknown,
    PlaylistNotFound,
    StorageUnavailable,
    Throttled,
    UnwritableItem,
)
from app.domain.idempotency import LogicalWrite
from app.domain.playlist import Playlist
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import ConditionFailed, DynamoDBTable, NotANumber, NoTransactions, whole_number
from app.store.items import (
    PLAY_COUNT,
    PLAYLIST_SORT_KEY,
    PLAYS_SORT_KEY,
    Condition,
    StoredPlaylist,
)
from app.store.values import Item

_READ_THE_COUNT = "Read the count."

_log = logging.getLogger("app.plays")


class PlayCounters:
    """Play counters by playlist token. Every method may raise Throttled and StorageUnavailable, which
    mean that nothing was counted."""

    def __init__(self, table: DynamoDBTable, attempts: Attempts) -> None:
        self._table = table
        self._attempts = attempts

    async def get(self, playlist_token: str) -> int | None:
        """How often the playlist was played; None where the stored count is not a whole number.

        Raises PlaylistNotFound.
        """
        deadline = self._attempts.deadline()
        await self._load_playlist(playlist_token, deadline)
        return await self._read(playlist_token, deadline)

    async def count(self, playlist_token: str, *, write: LogicalWrite) -> int | None:
        """Count one play; returns how many there are now, None if another program has just stored something else.

        With an idempotency key it is counted once within DynamoDB's ten minutes, and repeated until
        the outcome is known; without one it is never repeated after an unknown outcome. Raises
        PlaylistNotFound, OutcomeUnknown, ReadOnlyRegion, IdempotencyKeyReused,
        KeyedCountUnavailable, UnwritableItem if the stored count is not a whole number.
        """
        self._table.check_accepts_writes()
        deadline = self._attempts.deadline()
        playlist = await self._load_playlist(playlist_token, deadline)
        not_counted = UnwritableItem(
            current=playlist, fault="play_count is not a whole number, or has more digits than DynamoDB can count up"
        )
        # DynamoDB would add 1 to a fraction too.
        if await self._read(playlist_token, deadline) is None:
            raise not_counted
        try:
            if write.caller_and_key is None:
                play_count = await self._add_one(playlist_token, deadline)
            else:
                play_count = await self._add_one_once(playlist_token, write.caller_and_key, deadline)
        except NotANumber as error:
            raise not_counted from error
        if play_count == 1:
            await self._check_not_left_behind(playlist_token, deadline)
        return play_count

    async def remove_left_behind(self, playlist_token: str, deadline: Deadline) -> None:
        """Delete the counter if its playlist is gone; of one that is there, or there again, it is kept.

        It is tried, not promised: a failure is logged, and the next deletion or creation of the
        playlist tries again.
        """
        try:
            if await self._item(playlist_token, PLAYS_SORT_KEY, deadline) is not None:
                await self._remove_without_playlist(playlist_token, deadline)
        except ConditionFailed:
            return
        except (Throttled, StorageUnavailable, OutcomeUnknown) as error:
            _log.warning("the play counter of a deleted playlist may be left: %s", error)

    async def _add_one(self, playlist_token: str, deadline: Deadline) -> int | None:
        try:
            return await self._attempts.write(
                lambda: self._table.increment(playlist_token, PLAYS_SORT_KEY, PLAY_COUNT), deadline, holds_again=True
            )
        except OutcomeUnknown as unknown:
            raise OutcomeUnknown(unknown.cause, advice="To count it again may count it twice.") from unknown

    async def _add_one_once(self, playlist_token: str, once: bytes, deadline: Deadline) -> int | None:
        try:
            await self._attempts.write(
                lambda: self._table.increment_once(playlist_token, PLAYS_SORT_KEY, PLAY_COUNT, once=once), deadline
            )
        except NoTransactions as error:
            raise KeyedCountUnavailable from error
        except OutcomeUnknown as unknown:
            raise OutcomeUnknown(unknown.cause, advice=_READ_THE_COUNT) from unknown
        try:
            return await self._read(playlist_token, deadline)
        except (Throttled, StorageUnavailable) as error:
            # These say that nothing was counted, and it was.
            raise OutcomeUnknown("the play was counted, the count cannot be read", advice=_READ_THE_COUNT) from error

    async def _check_not_left_behind(self, playlist_token: str, deadline: Deadline) -> None:
        """Take back a first count that has made a counter after its playlist was deleted with the old one."""
        try:
            await self._load_playlist(playlist_token, deadline)
        except PlaylistNotFound:
            await self.remove_left_behind(playlist_token, deadline)
            raise
        except (Throttled, StorageUnavailable):
            return

    async def _remove_without_playlist(self, playlist_token: str, deadline: Deadline) -> None:
        """Delete the counter if there is no playlist; raises ConditionFailed if there is one."""
        try:
            await self._attempts.write(
                lambda: self._table.delete_item_without(
                    playlist_token, PLAYS_SORT_KEY, other_sort_key=PLAYLIST_SORT_KEY
                ),
                deadline,
            )
        except NoTransactions:
            # The counter is read before the playlist: if it is of a playlist that is made after that, plays of
            # it are added, and the count that was read does not stand any more.
            counter = await self._item(playlist_token, PLAYS_SORT_KEY, deadline)
            try:
                await self._load_playlist(playlist_token, deadline)
            except PlaylistNotFound:
                await self._remove_as_read(playlist_token, counter or {}, deadline)

    async def _remove_as_read(self, playlist_token: str, counter: Item, deadline: Deadline) -> None:
        if PLAY_COUNT not in counter:
            return
        as_read = Condition(f"{PLAY_COUNT} = :read_count", {":read_count": counter[PLAY_COUNT]})
        await self._attempts.write(lambda: self._table.delete_item(playlist_token, PLAYS_SORT_KEY, as_read), deadline)

    async def _load_playlist(self, playlist_token: str, deadline: Deadline) -> Playlist:
        item = await self._item(playlist_token, PLAYLIST_SORT_KEY, deadline)
        if item is None:
            raise PlaylistNotFound(playlist_token)
        return StoredPlaylist.from_item(item).playlist

    async def _read(self, playlist_token: str, deadline: Deadline) -> int | None:
        """The count; zero where nothing was ever counted, None where it is something else than a whole number."""
        counter = await self._item(playlist_token, PLAYS_SORT_KEY, deadline) or {}
        return whole_number(counter.get(PLAY_COUNT))

    async def _item(self, playlist_token: str, sort_key: str, deadline: Deadline) -> Item | None:
        return await self._attempts.read(lambda: self._table.get_item(playlist_token, sort_key), deadline)
