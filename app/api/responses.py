"""Answers in JSON, those with a playlist among them."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from app.api.schemas import playlist_members
from app.domain.playlist import Playlist
from app.store.writes import Written

JSON = "application/json"
# A client may keep an answer, and has to ask before it uses it: a stale base is a conflict.
_REVALIDATED = {"Cache-Control": "private, no-cache"}


def json_response(
    members: Mapping[str, Any], status: int = 200, *, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON that caches have to revalidate."""
    return Response(to_json(members), status, {**_REVALIDATED, **(headers or {})}, JSON)


def playlist_response(playlist: Playlist, status: int = 200) -> Response:
    """A playlist as JSON, with its entity-tag."""
    return json_response(playlist_members(playlist), status, headers=state_headers(playlist))


def written_response(written: Written) -> Response:
    """The playlist after a write: 201 if it is new, marked if it is a repeat that wrote nothing."""
    response = playlist_response(written.playlist, 201 if written.is_new else 200)
    if written.is_new:
        response.headers["Location"] = f"/playlists/{written.playlist.playlist_token}"
    if written.is_repeat:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def state_headers(playlist: Playlist) -> dict[str, str]:
    return _REVALIDATED if playlist.entity_tag is None else {**_REVALIDATED, "ETag": playlist.entity_tag}
