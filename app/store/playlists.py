"""The repository: the only place that reads, modifies and writes a playlist.

Optimistic locking as in DynamoDB's developer guide ("Optimistic locking with version number") and
Tempest's guide of the same name: every write is conditioned on the state that its change was made
from, and a write that lost is told, never repeated.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from weakref import WeakValueDictionary

from app.domain.errors import (
    EditConflict,
    InvalidPlaylistToken,
    OutcomeUnknown,
    PlaylistExists,
    PlaylistNotFound,
    PlaylistTooLarge,
    StorageUnavailable,
    Throttled,
    UnwritableItem,
)
from app.domain.idempotency import LogicalWrite
from app.domain.playlist import Playlist, PlaylistContent, PlaylistPage, playlist_token_fault
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import ConditionFailed, DynamoDBTable
from app.store.items import (
    ITEM_SIZE_LIMIT,
    NO_SUCH_ITEM,
    PARTITION_KEY_SIZE_LIMIT,
    PLAYLIST_SORT_KEY,
    Item,
    StoredPlaylist,
    is_playlist,
    owned_by,
    owner_index_key,
    read_summary,
)
from app.store.plays import PlayCounters
from app.store.table import OWNER_INDEX

# Items of the owner index that are read at once to get past those that are no playlists.
_MOST_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a write: the playlist after it, and whether the write made it.

    `is_repeat`: the write was made under the same idempotency key by an earlier request, or by an
    earlier attempt at this one before others wrote; `playlist` is the current state then.
    """

    playlist: Playlist
    is_new: bool = False
    is_repeat: bool = False


class PlaylistRepository:
    """Playlists by token. Every method may raise Throttled and StorageUnavailable, which mean that
    nothing was written; every write may raise OutcomeUnknown and ReadOnlyRegion besides.

    A write may be given as a LogicalWrite with an idempotency key. It is made once then, as far as
    the window of recent writes reaches; IdempotencyKeyReused is raised if the key was used for
    another request.
    """

    def __init__(self, table: DynamoDBTable, attempts: Attempts) -> None:
        self._table = table
        self._attempts = attempts
        self._counters = PlayCounters(table, attempts)
        # Of the playlists that are appended to just now.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, playlist_token: str) -> Playlist:
        """The current state, strongly consistent. Raises PlaylistNotFound."""
        return (await self._load(playlist_token, self._attempts.deadline())).playlist

    async def list_by_owner(self, playlist_owner: str, *, limit: int, after: str | None = None) -> PlaylistPage:
        """Up to `limit` of an owner's playlists in the order of their tokens, from the one that follows `after`.

        Eventually consistent: a new playlist may be missing, and one that is gone be shown. Playlists
        without an owner are in no list. Raises ListingUnavailable.
        """
        deadline = self._attempts.deadline()
        # One more than is shown tells whether there is a next page.
        found: list[Item] = []
        looked_at = limit + 1
        end = None if after is None else owner_index_key(playlist_owner, after)
        while True:
            query = partial(self._table.query_index, OWNER_INDEX, owned_by(playlist_owner), limit=looked_at, after=end)
            items, end = await self._attempts.read(query, deadline)
            # Other programs may have put an owner on other items too, and on any number of them.
            found += filter(is_playlist, items)
            if end is None or len(found) > limit:
                break
            looked_at = _MOST_LOOKED_AT
        shown = tuple(read_summary(item) for item in found[:limit])
        return PlaylistPage(shown, shown[-1].playlist_token if len(found) > limit else None)

    async def create(
        self,
        playlist_token: str,
        content: PlaylistContent,
        *,
        playlist_owner: str,
        write: LogicalWrite | None = None,
    ) -> Written:
        """Write a new playlist at version 1, under a token that was made for it.

        A playlist under the token that `write` makes is its own, however long ago it made it.
        Raises InvalidPlaylistToken, PlaylistExists, PlaylistTooLarge.
        """
        write = write or LogicalWrite.unkeyed()
        return await self._create(
            playlist_token, content, playlist_owner, write, self._writing_deadline(), token_is_new=not write.is_keyed
        )

    async def update(
        self,
        playlist_token: str,
        change: Callable[[Playlist], Playlist],
        *,
        preconditions: Preconditions = NO_PRECONDITIONS,
        write: LogicalWrite | None = None,
        commutes: bool = False,
    ) -> Written:
        """Read, apply `change`, write back only if nobody wrote in between; return the new state.

        `change` is pure and sets name and tracks; what else it sets is not written. If it sets
        what is there already, nothing is written. Raises PlaylistNotFound, what
        `preconditions` raise, EditConflict (a blind retry would overwrite what the caller has not
        seen), UnwritableItem, PlaylistTooLarge, or whatever `change` raises. One that `commutes` with
        what others do, and has no preconditions, is applied anew to what they left, a bounded number
        of times, before that is a conflict.
        """
        write = write or LogicalWrite.unkeyed()
        deadline = self._writing_deadline()
        if not commutes or preconditions.are_any:
            return await self._update(playlist_token, change, preconditions, write, deadline)
        async with self._turn(playlist_token, deadline):
            return await self._update(playlist_token, change, preconditions, write, deadline, commutes=True)

    async def put(
        self,
        playlist_token: str,
        content: PlaylistContent,
        *,
        playlist_owner: str,
        preconditions: Preconditions = NO_PRECONDITIONS,
        write: LogicalWrite | None = None,
    ) -> Written:
        """Create the playlist or replace its content.

        The owner is kept where there is one to replace. Raises as `create` and `update` do; where
        there is no playlist, preconditions are held against that.
        """
        write = write or LogicalWrite.unkeyed()
        deadline = self._writing_deadline()
        try:
            return await self._update(playlist_token, content.replace, preconditions, write, deadline)
        except PlaylistNotFound:
            preconditions.check(None)
        try:
            return await self._create(playlist_token, content, playlist_owner, write, deadline, token_is_new=False)
        except PlaylistExists as lost:
            preconditions.check(lost.current)
            raise

    async def delete(self, playlist_token: str, *, preconditions: Preconditions = NO_PRECONDITIONS) -> None:
        """Delete the playlist if nobody wrote since it was read, and then its play counter.

        Raises PlaylistNotFound, what `preconditions` raise, EditConflict, UnwritableItem.
        """
        deadline = self._writing_deadline()
        try:
            await self._delete(playlist_token, preconditions, deadline)
        except PlaylistNotFound:
            # A deletion that was cut off may have left it.
            await self._counters.remove_left_behind(playlist_token, deadline)
            raise
        await self._counters.remove_left_behind(playlist_token, deadline)

    @asynccontextmanager
    async def _turn(self, playlist_token: str, deadline: Deadline) -> AsyncIterator[None]:
        """Let the appends of this process to one playlist in one after the other.

        They would only come in each other's way: a condition that fails costs write units and a
        back-off. Other processes are not waited for. Raises StorageUnavailable if it gets too late.
        """
        turn = self._turns.setdefault(playlist_token, asyncio.Lock())
        try:
            async with asyncio.timeout_at(deadline.work):
                await turn.acquire()
        except TimeoutError as error:
            raise StorageUnavailable("appends before this one took all its time", passing=False) from error
        try:
            yield
        finally:
            turn.release()

    def _writing_deadline(self) -> Deadline:
        self._table.check_accepts_writes()
        return self._attempts.deadline()

    async def _load(self, playlist_token: str, deadline: Deadline) -> StoredPlaylist:
        if len(playlist_token.encode()) > PARTITION_KEY_SIZE_LIMIT:
            raise PlaylistNotFound(playlist_token)
        item = await self._attempts.read(lambda: self._table.get_item(playlist_token, PLAYLIST_SORT_KEY), deadline)
        if item is None:
            raise PlaylistNotFound(playlist_token)
        return StoredPlaylist.from_item(item)

    async def _update(
        self,
        playlist_token: str,
        change: Callable[[Playlist], Playlist],
        preconditions: Preconditions,
        write: LogicalWrite,
        deadline: Deadline,
        *,
        commutes: bool = False,
    ) -> Written:
        # Read.
        stored = await self._load(playlist_token, deadline)
        for attempt in itertools.count(1):
            if write.is_among(stored.recent_writes):
                break
            preconditions.check(stored.playlist)
            # Modify.
            changed = change(stored.playlist)
            if changed.has_content_of(stored.playlist):
                return Written(stored.playlist)
            if not stored.playlist.has_next_version:
                raise UnwritableItem(current=stored.playlist)
            if changed.track_tokens != stored.playlist.track_tokens and not stored.shows_all_tracks:
                raise UnwritableItem(
                    current=stored.playlist,
                    fault="track_tokens holds what is no string, and that would be lost",
                )
            # Write.
            successor = stored.followed_by(changed, write_token=write.token, written_at=_now())
            try:
                return await self._save(successor, read=stored, write=write, deadline=deadline)
            except _WriteLost as lost:
                if lost.met is None or not commutes or not await self._attempts.may_append_again(attempt, deadline):
                    raise _conflict(lost, read=stored.playlist, preconditions=preconditions) from lost
                # Read: the failed condition has brought what the others left.
                stored = lost.met
        return Written(stored.playlist, is_repeat=True)

    async def _create(
        self,
        playlist_token: str,
        content: PlaylistContent,
        playlist_owner: str,
        write: LogicalWrite,
        deadline: Deadline,
        *,
        token_is_new: bool,
    ) -> Written:
        if fault := playlist_token_fault(playlist_token):
            raise InvalidPlaylistToken(fault)
        stored = StoredPlaylist.created(
            playlist_token,
            content,
            playlist_owner=playlist_owner,
            write_token=write.token,
            written_at=_now(),
        )
        if not token_is_new:
            await self._counters.remove_left_behind(playlist_token, deadline)
        try:
            written = await self._save(stored, read=None, write=write, deadline=deadline)
        except _WriteLost as lost:
            if lost.met is not None and playlist_token == write.playlist_token:
                return Written(lost.met.playlist, is_new=True, is_repeat=True)
            raise PlaylistExists(current=lost.current) from lost
        except OutcomeUnknown as unknown:
            advice = f"Read playlist {playlist_token!r} before you create it again."
            raise OutcomeUnknown(unknown.cause, advice=advice) from unknown
        return replace(written, is_new=True)

    async def _delete(self, playlist_token: str, preconditions: Preconditions, deadline: Deadline) -> None:
        stored = await self._load(playlist_token, deadline)
        preconditions.check(stored.playlist)
        if stored.playlist.playlist_version is None:
            raise UnwritableItem(current=stored.playlist)
        try:
            await self._remove(stored, deadline)
        except _WriteLost as lost:
            raise _conflict(lost, read=stored.playlist, preconditions=preconditions) from lost

    async def _save(
        self, successor: StoredPlaylist, *, read: StoredPlaylist | None, write: LogicalWrite, deadline: Deadline
    ) -> Written:
        """Put the item if the table still holds what was read; return once it is known to have been put.

        Raises _WriteLost only if the item is known never to have been put, OutcomeUnknown if
        neither is known.
        """
        if successor.size > ITEM_SIZE_LIMIT:
            raise PlaylistTooLarge(size=successor.size, limit=ITEM_SIZE_LIMIT)
        condition = NO_SUCH_ITEM if read is None else read.still_current()
        failed = await self._write(
            lambda: self._table.put_item(successor.item, condition),
            successor.playlist.playlist_token,
            read=read,
            deadline=deadline,
        )
        if failed is None:
            return Written(successor.playlist)
        met, uncertain = failed
        if met is not None and write.is_among(met.recent_writes):
            if not write.is_keyed or met.item == successor.item:
                return Written(successor.playlist)
            # It may be another copy of the request that wrote, from another base than ours.
            return Written(met.playlist, is_repeat=True)
        if uncertain and (met is None or read is None or not met.rules_out_write_from(read)):
            raise OutcomeUnknown("the condition failed, and the item cannot tell whether an attempt was applied")
        raise _WriteLost(met)

    async def _remove(self, stored: StoredPlaylist, deadline: Deadline) -> None:
        """Delete the item if the table still holds it; raises as `_save` does."""
        playlist_token, condition = stored.playlist.playlist_token, stored.still_current()
        failed = await self._write(
            lambda: self._table.delete_item(playlist_token, PLAYLIST_SORT_KEY, condition),
            playlist_token,
            read=stored,
            deadline=deadline,
        )
        if failed is None:
            return
        met, uncertain = failed
        if uncertain and met is None:
            return
        if uncertain and met is not None and not met.rules_out_deletion_from(stored):
            raise OutcomeUnknown("the condition failed, and the item may be one that was made after our deletion")
        raise _WriteLost(met)

    async def _write(
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
            return _stored_in(failed.item), failed.uncertain
        except OutcomeUnknown as unknown:
            met = await self._settle(playlist_token, unknown, deadline)
            if _is_unchanged(met, read):
                raise  # The condition still holds, so an attempt that is under way may yet be applied.
            return met, True
        return None

    async def _settle(self, playlist_token: str, unknown: OutcomeUnknown, deadline: Deadline) -> StoredPlaylist | None:
        """What the table holds after a write whose outcome is unknown."""
        try:
            item = await self._attempts.settle(
                lambda: self._table.get_item(playlist_token, PLAYLIST_SORT_KEY), deadline
            )
        except (StorageUnavailable, Throttled):
            raise unknown from None
        return _stored_in(item)


class _WriteLost(Exception):
    """The write is known not to have been made; it met another state, or none, instead."""

    def __init__(self, met: StoredPlaylist | None) -> None:
        super().__init__("another writer came first")
        self.met = met
        self.current = None if met is None else met.playlist


def _is_unchanged(met: StoredPlaylist | None, read: StoredPlaylist | None) -> bool:
    """Whether a write conditioned on what was read, None if that was no playlist, would still be made."""
    if met is None or read is None:
        return met is read
    return met.is_state_of(read)


def _conflict(lost: _WriteLost, *, read: Playlist, preconditions: Preconditions) -> Exception:
    """Why the write lost: gone, a precondition that no longer holds, or another writer."""
    if lost.current is None:
        return PlaylistNotFound(read.playlist_token)
    preconditions.check(lost.current, read=read)
    return EditConflict(current=lost.current, read=read)


def _stored_in(item: Item | None) -> StoredPlaylist | None:
    return None if item is None else StoredPlaylist.from_item(item)


def _now() -> str:
    """RFC 3339 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
