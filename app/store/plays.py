"""Play counters: atomic counters beside the playlists, in items of their own.

A counter is not locked on a version: DynamoDB adds to it ("Atomic counters" in its developer guide
and in Tempest's), so that a play never makes a rename conflict, nor a rename a play.
"""

from app.domain.errors import OutcomeUnknown, PlaylistNotFound, StorageUnavailable, Throttled
from app.domain.idempotency import LogicalWrite
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import ConditionFailed, DynamoDBTable
from app.store.items import PARTITION_KEY_SIZE_LIMIT, PLAY_COUNT, PLAYLIST_SORT_KEY, PLAYS_SORT_KEY, Condition, Item


class PlayCounters:
    """Play counters by playlist token. Every method may raise Throttled and StorageUnavailable, which
    mean that nothing was counted."""

    def __init__(self, table: DynamoDBTable, attempts: Attempts) -> None:
        self._table = table
        self._attempts = attempts

    async def get(self, playlist_token: str) -> int:
        """How often the playlist was played. Raises PlaylistNotFound."""
        deadline = self._attempts.deadline()
        await self._check_playlist(playlist_token, deadline)
        return _play_count(await self._read(playlist_token, deadline))

    async def count(self, playlist_token: str, *, write: LogicalWrite) -> int:
        """Count one play; returns how many there are now.

        With an idempotency key it is counted once within DynamoDB's ten minutes, and repeated until
        the outcome is known; without one it is never repeated after an unknown outcome. Raises
        PlaylistNotFound, OutcomeUnknown, ReadOnlyRegion, IdempotencyKeyReused,
        KeyedCountUnavailable.
        """
        self._table.check_accepts_writes()
        deadline = self._attempts.deadline()
        await self._check_playlist(playlist_token, deadline)
        once = write.caller_and_key
        if once is None:
            play_count = await self._add_one(playlist_token, deadline)
        else:
            await self._attempts.write(
                lambda: self._table.increment_once(playlist_token, PLAYS_SORT_KEY, PLAY_COUNT, once=once),
                deadline,
            )
            play_count = await self._count_after(playlist_token, deadline)
        if play_count == 1:
            await self._check_not_left_behind(playlist_token, deadline)
        return play_count

    async def remove(self, playlist_token: str, deadline: Deadline) -> None:
        """Delete the counter of a playlist that is gone, if that can be.

        Where it cannot, the counter is left behind: nobody sees it, and the next playlist of that
        token does not take it over.
        """
        try:
            await self._attempts.write(lambda: self._table.delete_item(playlist_token, PLAYS_SORT_KEY, None), deadline)
        except (Throttled, StorageUnavailable, OutcomeUnknown):
            return

    async def remove_left_behind(self, playlist_token: str, deadline: Deadline) -> None:
        """Delete the counter of an earlier playlist of this token, before there is a new one."""
        item = await self._read(playlist_token, deadline)
        if item is None or PLAY_COUNT not in item:
            return
        # If others create the playlist and play it meanwhile, the counter is theirs and stays.
        untouched = Condition(f"{PLAY_COUNT} = :read_count", {":read_count": item[PLAY_COUNT]})
        try:
            await self._attempts.write(
                lambda: self._table.delete_item(playlist_token, PLAYS_SORT_KEY, untouched), deadline
            )
        except ConditionFailed:
            return
        except OutcomeUnknown as unknown:
            raise StorageUnavailable(unknown.cause) from unknown

    async def _add_one(self, playlist_token: str, deadline: Deadline) -> int:
        try:
            return await self._attempts.write(
                lambda: self._table.increment(playlist_token, PLAYS_SORT_KEY, PLAY_COUNT), deadline, holds_again=True
            )
        except OutcomeUnknown as unknown:
            raise OutcomeUnknown(unknown.cause, advice="To count it again may count it twice.") from unknown

    async def _count_after(self, playlist_token: str, deadline: Deadline) -> int:
        """The count after one that was made; raises OutcomeUnknown if it cannot be read."""
        try:
            return _play_count(await self._read(playlist_token, deadline))
        except (Throttled, StorageUnavailable) as error:
            raise OutcomeUnknown("counted, and the count cannot be read", advice="It was counted.") from error

    async def _check_not_left_behind(self, playlist_token: str, deadline: Deadline) -> None:
        """Take back a first count that has made a counter after its playlist was deleted with the old one."""
        try:
            await self._check_playlist(playlist_token, deadline)
        except PlaylistNotFound:
            await self.remove(playlist_token, deadline)
            raise
        except (Throttled, StorageUnavailable):
            return

    async def _check_playlist(self, playlist_token: str, deadline: Deadline) -> None:
        if len(playlist_token.encode()) > PARTITION_KEY_SIZE_LIMIT:
            raise PlaylistNotFound(playlist_token)
        playlist = await self._attempts.read(lambda: self._table.get_item(playlist_token, PLAYLIST_SORT_KEY), deadline)
        if playlist is None:
            raise PlaylistNotFound(playlist_token)

    async def _read(self, playlist_token: str, deadline: Deadline) -> Item | None:
        return await self._attempts.read(lambda: self._table.get_item(playlist_token, PLAYS_SORT_KEY), deadline)


def _play_count(item: Item | None) -> int:
    """Zero where nothing was ever counted, or another program has put what is no number."""
    number = ((item or {}).get(PLAY_COUNT) or {}).get("N")
    return 0 if number is None else int(float(number))
