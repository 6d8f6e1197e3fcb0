"""Reading a playlist's item."""

from functools import partial

from app.domain.errors import PlaylistNotFound
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import DynamoDBTable
from app.store.items import PLAYLIST_SORT_KEY, StoredPlaylist


async def load_playlist(
    table: DynamoDBTable,
    attempts: Attempts,
    playlist_token: str,
    deadline: Deadline,
    *,
    base: StoredPlaylist | None = None,
) -> StoredPlaylist:
    """The current state, strongly consistent; `base` is one seen before, which serves again as far as it is the same.

    Raises PlaylistNotFound, Throttled, StorageUnavailable.
    """
    item = await attempts.read(partial(table.get_item, playlist_token, PLAYLIST_SORT_KEY), deadline)
    if item is None:
        raise PlaylistNotFound(playlist_token)
    return StoredPlaylist.from_item(item, base=base)
