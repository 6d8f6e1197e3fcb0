"""Writes of playlist items on condition, repeated until it is proven whether they were made.

A failed condition alone proves nothing: an earlier attempt, whose answer was lost, may have been
applied and be what the condition failed on. What the condition met tells, or it is said that nobody
can tell.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from app.domain.errors import OutcomeUnknown, StorageUnavailable, Throttled
from app.domain.idempotency import LogicalWrite
from app.domain.playlist import Playlist
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import ConditionFailed, DynamoDBTable
from app.store.items import NO_SUCH_ITEM, PLAYLIST_SORT_KEY, StoredPlaylist
from app.store.ledger import ledger
from app.store.values import Item


class WriteResult(msgspec.Struct, frozen=True):
    """The playlist after a write.

    `created`: the write has created it. `replayed`: an earlier request with the same idempotency key, or an
    earlier attempt of this one, made the write; `playlist` is the current state, which others may have
    written since.
    """

    playlist: Playlist
    created: bool = False
    replayed: bool = False


class WriteLost(Exception):
    """The write was not made: the table holds `found` instead of what was read, None for no playlist."""

    def __init__(self, found: StoredPlaylist | None) -> None:
        super().__init__("another writer came first")
        self.found = found
        self.current = None if found is None else found.playlist


class ConditionalWrites:
    """PutItem and DeleteItem of playlists. Both may raise Throttled and StorageUnavailable."""

    def __init__(self, table: DynamoDBTable, attempts: Attempts) -> None:
        self._table = table
        self._attempts = attempts

    async def put(
        self, successor: StoredPlaylist, *, read: StoredPlaylist | None, write: LogicalWrite, deadline: Deadline
    ) -> WriteResult:
        """Put the item if the table still holds what was read; return once it is known to have been put.

        Raises WriteLost only if the item is known never to have been put, OutcomeUnknown if
        neither is known.
        """
        condition = NO_SUCH_ITEM if read is None else read.still_current()
        failed = await self._made_or_met(
            partial(self._table.put_item, successor.item, condition),
            successor.playlist.playlist_token,
            read=read,
            deadline=deadline,
        )
        if failed is None:
            return WriteResult(successor.playlist)
        met, uncertain = failed
        if met is not None and write.is_among(met.recent_writes):
            if not write.is_keyed or (uncertain and met.holds_same_as(successor)):
                ledger().own_writes_recovered += uncertain
                return WriteResult(successor.playlist)
            # Another copy of the request may have made the write, from another state than ours.
            return WriteResult(met.playlist, replayed=True)
        if uncertain and (met is None or read is None or not met.rules_out_write_from(read)):
            raise OutcomeUnknown("the condition failed, and the item cannot tell whether an attempt was applied")
        raise WriteLost(met)

    async def delete(self, stored: StoredPlaylist, deadline: Deadline) -> None:
        """Delete the item if the table still holds it; raises as `put` does."""
        playlist_token, condition = stored.playlist.playlist_token, stored.still_current()
        failed = await self._made_or_met(
            partial(self._table.delete_item, playlist_token, PLAYLIST_SORT_KEY, condition),
            playlist_token,
            read=stored,
            deadline=deadline,
        )
        if failed is None:
            return
        met, uncertain = failed
        if uncertain and met is None:
            ledger().own_writes_recovered += 1
            return
        if uncertain and met is not None and not met.rules_out_deletion_from(stored):
            raise OutcomeUnknown("the condition failed, and the item may be one that was made after our deletion")
        raise WriteLost(met)

    async def _made_or_met(
        self,
        call: Callable[[], Awaitable[None]],
        playlist_token: str,
        *,
        read: StoredPlaylist | None,
        deadline: Deadline,
    ) -> tuple[StoredPlaylist | None, bool] | None:
        """Attempt a write on the condition that the table still holds what was read, None for no item.

        Returns None if it was made; else what it met instead, and whether an attempt may have been
        applied before. Raises OutcomeUnknown while one may yet be.
        """
        try:
            # That there is no item holds again once somebody has deleted what an attempt of ours had made; a
            # version alone, once another program has made a new playlist at it.
            holds_again = read is None or not read.names_a_write
            await self._attempts.write(call, deadline, holds_again=holds_again)
        except ConditionFailed as failed:
            try:
                return _stored_in(failed.item), failed.uncertain
            except StorageUnavailable as unreadable:
                if failed.uncertain:
                    raise OutcomeUnknown(unreadable.cause) from unreadable
                raise
        except OutcomeUnknown as unknown:
            met = await self._settle(playlist_token, unknown, deadline)
            if _is_unchanged(met, read):
                raise  # The condition still holds, so an attempt that is under way may yet be applied.
            return met, True
        return None

    async def _settle(self, playlist_token: str, unknown: OutcomeUnknown, deadline: Deadline) -> StoredPlaylist | None:
        """What the table holds after a write whose outcome is unknown."""
        try:
            return _stored_in(
                await self._attempts.settle(lambda: self._table.get_item(playlist_token, PLAYLIST_SORT_KEY), deadline)
            )
        except (StorageUnavailable, Throttled):
            raise unknown from None


def _is_unchanged(met: StoredPlaylist | None, read: StoredPlaylist | None) -> bool:
    """Whether a write conditioned on what was read, None if that was no playlist, would still be made."""
    if met is None or read is None:
        return met is read
    return met.is_state_of(read)


def _stored_in(item: Item | None) -> StoredPlaylist | None:
    return None if item is None else StoredPlaylist.from_item(item)
