"""Cursors: opaque names of positions in a caller's list of playlists."""

import base64
import hashlib

from pydantic_core import to_json

from app.store.items import SORT_KEY_SIZE_LIMIT

# To be raised with every change of what a cursor holds or means: cursors are kept by clients.
_FORMAT = 1
_DIGEST_BYTES = 12
_HEAD_BYTES = 1 + _DIGEST_BYTES
# In base64url, four characters stand for three bytes; the token is a sort key of the index.
CURSOR_MAX_LENGTH = -(-(_HEAD_BYTES + SORT_KEY_SIZE_LIMIT) * 4 // 3)
CURSOR_PATTERN = "^[A-Za-z0-9_-]+$"


def cursor_after(playlist_token: str, *, caller: str) -> str:
    """The cursor of what follows this playlist in the caller's list.

    Its digest is there to tell a cursor that is damaged, another caller's, or of another format. It
    is no secret and protects none: a position in the caller's own list is all that a cursor can name.
    """
    digest = hashlib.sha256(to_json([_FORMAT, caller, playlist_token])).digest()[:_DIGEST_BYTES]
    content = bytes([_FORMAT]) + digest + playlist_token.encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def token_before(cursor: str, *, caller: str) -> str | None:
    """The playlist that the cursor's page follows; None if it is no cursor of this caller, unchanged."""
    if len(cursor) > CURSOR_MAX_LENGTH:
        return None
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        playlist_token = content[_HEAD_BYTES:].decode()
    except ValueError:
        return None
    # Compared as text: base64 has several forms of the same bytes, and Python forgives even more.
    if not playlist_token or cursor != cursor_after(playlist_token, caller=caller):
        return None
    return playlist_token
