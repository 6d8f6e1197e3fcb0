"""The repository: the only place that reads, modifies and writes a playlist.

Optimistic locking as in DynamoDB's developer guide ("Optimistic locking with version number") and
Tempest's guide of the same name: every write is conditioned on the state that its change was made
from, and a change that lost to another writer's is told, and made anew only where it commutes.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from weakref import WeakValueDictionary

from app.domain.access import Caller
from app.domain.errors import (
    EditConflict,
    InvalidPlaylistToken,
    OutcomeUnknown,
    PlaylistExists,
    PlaylistNotFound,
    StorageUnavailable,
)
from app.domain.idempotency import LogicalWrite
from app.domain.playlist import Playlist, PlaylistContent, PlaylistPage, playlist_token_fault
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.domain.times import date_and_time
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import DynamoDBTable
from app.store.items import (
    PLAYLIST_SORT_KEY,
    StoredPlaylist,
    is_playlist,
    owned_by,
    owner_index_key,
    read_summary,
)
from app.store.ledger import ledger
from app.store.plays import PlayCounters
from app.store.table import OWNER_INDEX
from app.store.time_limits import TimeLimit, Timer
from app.store.values import Item
from app.store.writes import ConditionalWrites, WriteLost, WriteResult

# Items of the owner index that are read at once to get past those that are no playlists.
_MOST_LOOKED_AT = 1_000


class PlaylistRepository:
    """Playlists by token. Every method may raise Throttled and StorageUnavailable, which mean that
    nothing was written; every write may raise OutcomeUnknown and ReadOnlyRegion besides.

    Every write raises Forbidden where the playlist is not its caller's to write: in the state that is
    read, and in the one that a failed condition met, unless that one holds the write itself.

    A write may be given as a LogicalWrite with an idempotency key. It is made once then, as far as
    the window of recent writes reaches; IdempotencyKeyReused is raised if the key was used for
    another request.
    """

    def __init__(self, table: DynamoDBTable, attempts: Attempts) -> None:
        self._table = table
        self._attempts = attempts
        self._writes = ConditionalWrites(table, attempts)
        self._counters = PlayCounters(table, attempts)
        # One for each playlist that has appends under way.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._timer = Timer()

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
        caller: Caller,
        write: LogicalWrite | None = None,
    ) -> WriteResult:
        """Write a new playlist of the caller's at version 1, under a token that was made for it.

        A playlist under the token that `write` makes is its own, however long ago it made it.
        Raises InvalidPlaylistToken, PlaylistExists, PlaylistTooLarge.
        """
        write = write or LogicalWrite.unkeyed()
        return await self._create(
            playlist_token, content, caller, write, self._writing_deadline(), token_is_new=not write.is_keyed
        )

    async def update(
        self,
        playlist_token: str,
        change: Callable[[Playlist], PlaylistContent],
        *,
        caller: Caller,
        preconditions: Preconditions = NO_PRECONDITIONS,
        write: LogicalWrite | None = None,
        commutes: bool = False,
    ) -> WriteResult:
        """Read, apply `change`, and write back only if nobody else wrote in between.

        An unchanged result is returned without a write. `change` is pure. One that `commutes`, and has no
        preconditions, is applied again to what the other writer left, a bounded number of times, before
        that is a conflict. Raises PlaylistNotFound, what `preconditions` raise, EditConflict (a blind retry
        would overwrite what the caller has not seen), UnwritableItem, PlaylistTooLarge, or whatever
        `change` raises.
        """
        write = write or LogicalWrite.unkeyed()
        deadline = self._writing_deadline()
        if not commutes or preconditions.are_any:
            return await self._update(playlist_token, change, caller, preconditions, write, deadline)
        turn = await self._turn_to_append(playlist_token, deadline)
        try:
            return await self._update(playlist_token, change, caller, preconditions, write, deadline, commutes=True)
        finally:
            turn.release()

    async def put(
        self,
        playlist_token: str,
        replacement: Callable[[Playlist | None], PlaylistContent],
        *,
        caller: Caller,
        preconditions: Preconditions = NO_PRECONDITIONS,
        write: LogicalWrite | None = None,
    ) -> WriteResult:
        """Replace the playlist's content by what `replacement` makes of it, or create it with what that makes of None.

        The owner of a playlist that is replaced stays. Raises as `create` and `update` do; where there is
        no playlist, preconditions are held against that.
        """
        write = write or LogicalWrite.unkeyed()
        deadline = self._writing_deadline()
        try:
            return await self._update(playlist_token, replacement, caller, preconditions, write, deadline)
        except PlaylistNotFound:
            preconditions.check(None)
        content = replacement(None)
        try:
            return await self._create(playlist_token, content, caller, write, deadline, token_is_new=False)
        except PlaylistExists as lost:
            preconditions.check(lost.current)
            raise

    async def delete(
        self, playlist_token: str, *, caller: Caller, preconditions: Preconditions = NO_PRECONDITIONS
    ) -> None:
        """Delete the playlist if nobody wrote since it was read, and then its play counter.

        Raises PlaylistNotFound, what `preconditions` raise, EditConflict.
        """
        deadline = self._writing_deadline()
        try:
            await self._delete(playlist_token, caller, preconditions, deadline)
        except PlaylistNotFound:
            # A deletion that was cut off may have left it.
            await self._counters.remove_left_behind(playlist_token, deadline)
            raise
        await self._counters.remove_left_behind(playlist_token, deadline)

    async def _turn_to_append(self, playlist_token: str, deadline: Deadline) -> asyncio.Lock:
        """Wait for the appends of this process to the playlist that came before; the caller releases what is returned.

        They would only come in each other's way: a condition that fails costs write units and a
        back-off. Other processes are not waited for. Raises StorageUnavailable if it gets too late.
        """
        turn = self._turns.setdefault(playlist_token, asyncio.Lock())
        try:
            with TimeLimit(deadline.work, self._timer):
                await turn.acquire()
        except TimeoutError as error:
            raise StorageUnavailable("appends before this one took all its time", passing=False) from error
        return turn

    def _writing_deadline(self) -> Deadline:
        self._table.check_accepts_writes()
        return self._attempts.deadline()

    async def _load(self, playlist_token: str, deadline: Deadline) -> StoredPlaylist:
        item = await self._attempts.read(partial(self._table.get_item, playlist_token, PLAYLIST_SORT_KEY), deadline)
        if item is None:
            raise PlaylistNotFound(playlist_token)
        return StoredPlaylist.from_item(item)

    async def _update(
        self,
        playlist_token: str,
        change: Callable[[Playlist], PlaylistContent],
        caller: Caller,
        preconditions: Preconditions,
        write: LogicalWrite,
        deadline: Deadline,
        *,
        commutes: bool = False,
    ) -> WriteResult:
        # Read.
        read = await self._load(playlist_token, deadline)
        attempt = 1
        while True:
            # Modify.
            caller.check_may_write(read.playlist)
            # Nobody but a repeat of the same request can have made this write before, and only a key tells a repeat.
            if write.is_keyed and write.is_among(read.recent_writes):
                return WriteResult(read.playlist, replayed=True)
            preconditions.check(read.playlist)
            content = change(read.playlist)
            if content == read.playlist.content:
                return WriteResult(read.playlist)
            # Write.
            successor = read.followed_by(content, write_token=write.token, written_at=_now())
            try:
                return await self._writes.put(successor, read=read, write=write, deadline=deadline)
            except WriteLost as lost:
                if lost.found is None or not commutes or not await self._attempts.may_append_again(attempt, deadline):
                    raise _conflict(lost, read=read.playlist, caller=caller, preconditions=preconditions) from lost
                # Read: the failed condition has returned the current item.
                read = lost.found
                ledger().appends_rebased += 1
                attempt += 1

    async def _create(
        self,
        playlist_token: str,
        content: PlaylistContent,
        caller: Caller,
        write: LogicalWrite,
        deadline: Deadline,
        *,
        token_is_new: bool,
    ) -> WriteResult:
        if fault := playlist_token_fault(playlist_token):
            raise InvalidPlaylistToken(fault)
        stored = StoredPlaylist.created(
            playlist_token,
            content,
            playlist_owner=caller.subject,
            write_token=write.token,
            written_at=_now(),
        )
        if not token_is_new:
            await self._counters.remove_left_behind(playlist_token, deadline)
        try:
            result = await self._writes.put(stored, read=None, write=write, deadline=deadline)
        except WriteLost as lost:
            if lost.current is not None:
                caller.check_may_write(lost.current)
            if lost.current is not None and playlist_token == write.playlist_token:
                return WriteResult(lost.current, created=True, replayed=True)
            raise PlaylistExists(current=lost.current) from lost
        except OutcomeUnknown as unknown:
            advice = f"Read playlist {playlist_token!r} before you create it again."
            raise OutcomeUnknown(unknown.cause, advice=advice) from unknown
        return WriteResult(result.playlist, created=True, replayed=result.replayed)

    async def _delete(
        self, playlist_token: str, caller: Caller, preconditions: Preconditions, deadline: Deadline
    ) -> None:
        stored = await self._load(playlist_token, deadline)
        caller.check_may_write(stored.playlist)
        preconditions.check(stored.playlist)
        try:
            await self._writes.delete(stored, deadline)
        except WriteLost as lost:
            raise _conflict(lost, read=stored.playlist, caller=caller, preconditions=preconditions) from lost


def _conflict(lost: WriteLost, *, read: Playlist, caller: Caller, preconditions: Preconditions) -> Exception:
    """Why the write lost: gone, made anew by another owner, a precondition that no longer holds, or another writer."""
    if lost.current is None:
        return PlaylistNotFound(read.playlist_token)
    caller.check_may_write(lost.current)
    preconditions.check(lost.current, read=read)
    return EditConflict(current=lost.current, read=read)


def _now() -> str:
    """RFC 3339 UTC with milliseconds."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{date_and_time(milliseconds // 1_000)}.{milliseconds % 1_000:03}Z"
