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

import msgspec

from app.domain.access import Caller
from app.domain.errors import (
    EditConflict,
    InvalidPlaylistToken,
    OutcomeUnknown,
    PlaylistError,
    PlaylistExists,
    PlaylistNotFound,
    PlaylistTooLarge,
    StorageUnavailable,
    UnwritableItem,
)
from app.domain.idempotency import LogicalWrite
from app.domain.playlist import Playlist, PlaylistContent, PlaylistPage, playlist_token_fault
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.domain.times import date_and_time
from app.store.attempts import Attempts, Deadline
from app.store.bases import Bases
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
from app.store.writes import ConditionalWrites, WriteLost, Written

# Items of the owner index that are read at once to get past those that are no playlists.
_MOST_LOOKED_AT = 1_000


class _Edit(msgspec.Struct, frozen=True):
    """A write of a playlist that is there, as it was asked for: it can be made on any state."""

    change: Callable[[Playlist], PlaylistContent]
    caller: Caller
    preconditions: Preconditions
    write: LogicalWrite

    def made_on(self, stored: StoredPlaylist) -> StoredPlaylist | Written:
        """The state to write over the one that was read, or what is answered where there is nothing to write."""
        self.caller.check_may_write(stored.playlist)
        # Another write than a keyed one is made by nobody else.
        if self.write.is_keyed and self.write.is_among(stored.recent_writes):
            return Written(stored.playlist, is_repeat=True)
        self.preconditions.check(stored.playlist)
        content = self.change(stored.playlist)
        if content == stored.playlist.content:
            return Written(stored.playlist)
        if not stored.playlist.has_next_version:
            raise UnwritableItem(current=stored.playlist)
        if content.track_tokens != stored.playlist.track_tokens and not stored.shows_all_tracks:
            raise UnwritableItem(
                current=stored.playlist,
                fault="track_tokens holds what is no string, and that would be lost",
            )
        successor = stored.followed_by(content, write_token=self.write.token, written_at=_now())
        successor.check_size()
        return successor

    def conflict(self, lost: WriteLost, *, read: StoredPlaylist) -> Exception:
        return _conflict(lost, read=read.playlist, caller=self.caller, preconditions=self.preconditions)


class PlaylistRepository:
    """Playlists by token. Every method may raise Throttled and StorageUnavailable, which mean that
    nothing was written; every write may raise OutcomeUnknown and ReadOnlyRegion besides.

    Every write raises Forbidden where the playlist is not its caller's to write: in the state that is
    read, and in the one that a failed condition met, unless that one holds the write itself.

    A write may be given as a LogicalWrite with an idempotency key. It is made once then, as far as
    the window of recent writes reaches; IdempotencyKeyReused is raised if the key was used for
    another request.
    """

    def __init__(self, table: DynamoDBTable, attempts: Attempts, *, bases: Bases | None = None) -> None:
        """`bases` keeps what writes may start from without a read; without it, each write reads."""
        self._bases = bases or Bases(0)
        self._table = table
        self._attempts = attempts
        self._writes = ConditionalWrites(table, attempts)
        self._counters = PlayCounters(table, attempts)
        # Of the playlists that are appended to just now.
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
    ) -> Written:
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
    ) -> Written:
        """Read, apply `change`, write back only if nobody wrote in between; return the new state.

        The read is saved where the state that was seen last is still the current one.

        `change` is pure. If it sets what is there already, nothing is written. Raises PlaylistNotFound, what
        `preconditions` raise, EditConflict (a blind retry would overwrite what the caller has not
        seen), UnwritableItem, PlaylistTooLarge, or whatever `change` raises. One that `commutes` with
        what others do, and has no preconditions, is applied anew to what they left, a bounded number
        of times, before that is a conflict.
        """
        edit = _Edit(change, caller, preconditions, write or LogicalWrite.unkeyed())
        deadline = self._writing_deadline()
        if not commutes or preconditions.are_any:
            return await self._update(playlist_token, edit, deadline)
        turn = await self._turn_to_append(playlist_token, deadline)
        try:
            return await self._update(playlist_token, edit, deadline, commutes=True)
        finally:
            turn.release()

    async def put(
        self,
        playlist_token: str,
        content: PlaylistContent,
        *,
        caller: Caller,
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
            edit = _Edit(lambda _: content, caller, preconditions, write)
            return await self._update(playlist_token, edit, deadline)
        except PlaylistNotFound:
            preconditions.check(None)
        try:
            return await self._create(playlist_token, content, caller, write, deadline, token_is_new=False)
        except PlaylistExists as lost:
            preconditions.check(lost.current)
            raise

    async def delete(
        self, playlist_token: str, *, caller: Caller, preconditions: Preconditions = NO_PRECONDITIONS
    ) -> None:
        """Delete the playlist if nobody wrote since it was read, and then its play counter.

        Raises PlaylistNotFound, what `preconditions` raise, EditConflict, UnwritableItem.
        """
        deadline = self._writing_deadline()
        try:
            await self._delete(playlist_token, caller, preconditions, deadline)
        except PlaylistNotFound:
            # A deletion that was cut off may have left it.
            await self._counters.remove_left_behind(playlist_token, deadline)
            raise
        finally:
            self._bases.forget(playlist_token)
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
        base = self._bases.last_seen(playlist_token)
        item = await self._attempts.read(partial(self._table.get_item, playlist_token, PLAYLIST_SORT_KEY), deadline)
        if item is None:
            self._bases.forget(playlist_token)
            raise PlaylistNotFound(playlist_token)
        stored = StoredPlaylist.from_item(item, base=base)
        self._bases.keep(stored)
        return stored

    async def _update(self, playlist_token: str, edit: _Edit, deadline: Deadline, *, commutes: bool = False) -> Written:
        # Read, or start from what was seen last.
        if (base := self._bases.young(playlist_token)) is not None:
            outcome = await self._written_from(base, edit, deadline)
            if isinstance(outcome, Written):
                return outcome
            stored = outcome
        else:
            stored = await self._load(playlist_token, deadline)
        attempt = 1
        while True:
            # Modify.
            successor = edit.made_on(stored)
            if isinstance(successor, Written):
                return successor
            # Write.
            try:
                written = await self._writes.put(successor, read=stored, write=edit.write, deadline=deadline)
            except WriteLost as lost:
                self._bases.shun(stored)
                if lost.met is None or not commutes or not await self._attempts.may_append_again(attempt, deadline):
                    raise edit.conflict(lost, read=stored) from lost
                # Read: the failed condition has brought what the others left.
                stored = lost.met
                ledger().appends_rebased += 1
                attempt += 1
            else:
                self._keep(successor, written)
                return written

    async def _written_from(self, base: StoredPlaylist, edit: _Edit, deadline: Deadline) -> Written | StoredPlaylist:
        """Write without a read, or else return the current state.

        A base may lead to a conditional write only: that there is nothing to write, or what speaks
        against it, may hold of the base alone.
        """
        playlist_token = base.playlist.playlist_token
        try:
            successor = edit.made_on(base)
        except PlaylistError:
            return await self._load(playlist_token, deadline)
        if isinstance(successor, Written):
            return await self._load(playlist_token, deadline)
        try:
            written = await self._writes.put(successor, read=base, write=edit.write, deadline=deadline)
        except WriteLost as lost:
            self._bases.shun(base)
            if lost.met is None:
                raise PlaylistNotFound(playlist_token) from lost
            return lost.met
        except PlaylistTooLarge:
            return await self._load(playlist_token, deadline)
        self._keep(successor, written)
        return written

    def _keep(self, successor: StoredPlaylist, written: Written) -> None:
        # Of a repeat, the table holds what the first request wrote.
        if not written.is_repeat:
            self._bases.keep(successor)

    async def _create(
        self,
        playlist_token: str,
        content: PlaylistContent,
        caller: Caller,
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
            playlist_owner=caller.subject,
            write_token=write.token,
            written_at=_now(),
        )
        stored.check_size()
        if not token_is_new:
            await self._counters.remove_left_behind(playlist_token, deadline)
        try:
            written = await self._writes.put(stored, read=None, write=write, deadline=deadline)
        except WriteLost as lost:
            if lost.current is not None:
                caller.check_may_write(lost.current)
            if lost.met is not None and playlist_token == write.playlist_token:
                return Written(lost.met.playlist, is_new=True, is_repeat=True)
            raise PlaylistExists(current=lost.current) from lost
        except OutcomeUnknown as unknown:
            advice = f"Read playlist {playlist_token!r} before you create it again."
            raise OutcomeUnknown(unknown.cause, advice=advice) from unknown
        self._keep(stored, written)
        return msgspec.structs.replace(written, is_new=True)

    async def _delete(
        self, playlist_token: str, caller: Caller, preconditions: Preconditions, deadline: Deadline
    ) -> None:
        stored = await self._load(playlist_token, deadline)
        caller.check_may_write(stored.playlist)
        preconditions.check(stored.playlist)
        if stored.playlist.playlist_version is None:
            raise UnwritableItem(current=stored.playlist)
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
