"""The repository: the only place that reads, modifies and writes a playlist.

Optimistic locking as in DynamoDB's developer guide ("Optimistic locking with version number") and
Tempest's guide of the same name: every write is conditioned on the state that its change was made
from, and a write that lost is told, never repeated.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from app.domain.errors import (
    EditConflict,
    InvalidPlaylistToken,
    PlaylistExists,
    PlaylistNotFound,
    PlaylistTooLarge,
    UnwritableItem,
)
from app.domain.playlist import Playlist, PlaylistContent, playlist_token_fault
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.store.dynamodb import ConditionFailed, DynamoDBTable
from app.store.items import (
    ITEM_SIZE_LIMIT,
    NO_SUCH_ITEM,
    PARTITION_KEY_SIZE_LIMIT,
    PLAYLIST_SORT_KEY,
    Condition,
    Item,
    StoredPlaylist,
)


class PlaylistRepository:
    """Playlists by token. Every method may raise Throttled and StorageUnavailable, every write
    OutcomeUnknown besides."""

    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def get(self, playlist_token: str) -> Playlist:
        """The current state, strongly consistent. Raises PlaylistNotFound."""
        return (await self._load(playlist_token)).playlist

    async def create(self, playlist_token: str, content: PlaylistContent, *, playlist_owner: str) -> Playlist:
        """Write a new playlist at version 1.

        Raises InvalidPlaylistToken, PlaylistExists, PlaylistTooLarge.
        """
        if fault := playlist_token_fault(playlist_token):
            raise InvalidPlaylistToken(fault)
        stored = StoredPlaylist.created(
            playlist_token,
            content,
            playlist_owner=playlist_owner,
            write_token=_new_write_token(),
            written_at=_now(),
        )
        try:
            await self._save(stored, condition=NO_SUCH_ITEM)
        except ConditionFailed as lost:
            raise PlaylistExists(current=_playlist_in(lost.item)) from lost
        return stored.playlist

    async def update(
        self,
        playlist_token: str,
        change: Callable[[Playlist], Playlist],
        *,
        preconditions: Preconditions = NO_PRECONDITIONS,
    ) -> Playlist:
        """Read, apply `change`, write back only if nobody wrote in between; return the new state.

        `change` is pure and sets name and tracks; what else it sets is not written. If it sets
        what is there already, nothing is written. Raises PlaylistNotFound, what
        `preconditions` raise, EditConflict (never retried here: a blind retry would overwrite what
        the caller has not seen), UnwritableItem, PlaylistTooLarge, or whatever `change` raises.
        """
        # Read.
        stored = await self._load(playlist_token)
        preconditions.check(stored.playlist)
        # Modify.
        changed = change(stored.playlist)
        if changed.has_content_of(stored.playlist):
            return stored.playlist
        if stored.playlist.playlist_version is None:
            raise UnwritableItem(current=stored.playlist)
        # Write.
        successor = stored.followed_by(changed, write_token=_new_write_token(), written_at=_now())
        try:
            await self._save(successor, condition=stored.still_current())
        except ConditionFailed as lost:
            raise _lost(lost, read=stored.playlist, preconditions=preconditions) from lost
        return successor.playlist

    async def put(
        self,
        playlist_token: str,
        content: PlaylistContent,
        *,
        playlist_owner: str,
        preconditions: Preconditions = NO_PRECONDITIONS,
    ) -> tuple[Playlist, bool]:
        """Create the playlist or replace its content; return the new state, and whether it is new.

        The owner is kept where there is one to replace. Raises as `create` and `update` do; where
        there is no playlist, preconditions are held against that.
        """
        try:
            return await self.update(playlist_token, content.replace, preconditions=preconditions), False
        except PlaylistNotFound:
            preconditions.check(None)
        try:
            return await self.create(playlist_token, content, playlist_owner=playlist_owner), True
        except PlaylistExists as lost:
            preconditions.check(lost.current)
            raise

    async def delete(self, playlist_token: str, *, preconditions: Preconditions = NO_PRECONDITIONS) -> None:
        """Delete the playlist if nobody wrote since it was read.

        Raises PlaylistNotFound, what `preconditions` raise, EditConflict, UnwritableItem.
        """
        stored = await self._load(playlist_token)
        preconditions.check(stored.playlist)
        if stored.playlist.playlist_version is None:
            raise UnwritableItem(current=stored.playlist)
        try:
            await self._table.delete_item(playlist_token, PLAYLIST_SORT_KEY, stored.still_current())
        except ConditionFailed as lost:
            raise _lost(lost, read=stored.playlist, preconditions=preconditions) from lost

    async def _load(self, playlist_token: str) -> StoredPlaylist:
        if len(playlist_token.encode()) > PARTITION_KEY_SIZE_LIMIT:
            raise PlaylistNotFound(playlist_token)
        item = await self._table.get_item(playlist_token, PLAYLIST_SORT_KEY)
        if item is None:
            raise PlaylistNotFound(playlist_token)
        return StoredPlaylist.from_item(item)

    async def _save(self, stored: StoredPlaylist, *, condition: Condition) -> None:
        if stored.size > ITEM_SIZE_LIMIT:
            raise PlaylistTooLarge(size=stored.size, limit=ITEM_SIZE_LIMIT)
        await self._table.put_item(stored.item, condition)


def _lost(lost: ConditionFailed, *, read: Playlist, preconditions: Preconditions) -> Exception:
    """Why the write lost: gone, a precondition that no longer holds, or another writer."""
    current = _playlist_in(lost.item)
    if current is None:
        return PlaylistNotFound(read.playlist_token)
    preconditions.check(current, read=read)
    return EditConflict(current=current, read=read)


def _playlist_in(item: Item | None) -> Playlist | None:
    return None if item is None else StoredPlaylist.from_item(item).playlist


def _new_write_token() -> str:
    """96 random bits as 16 base64url characters."""
    return secrets.token_urlsafe(12)


def _now() -> str:
    """RFC 3339 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
