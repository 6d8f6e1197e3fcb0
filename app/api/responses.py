"""Answers with a playlist."""

from pydantic_core import to_json
from starlette.responses import Response

from app.api.schemas import playlist_members
from app.domain.playlist import Playlist
from app.store.writes import Written

JSON = "application/json"
REPLAYED_HEADER = "Idempotency-Replayed"


def playlist_response(playlist: Playlist, status: int = 200) -> Response:
    """A playlist as JSON, with its entity-tag."""
    return Response(to_json(playlist_members(playlist)), status, state_headers(playlist), JSON)


def written_response(written: Written) -> Response:
    """The playlist after a write: 201 if it is new, marked if it is a repeat that wrote nothing."""
    response = playlist_response(written.playlist, 201 if written.is_new else 200)
    if written.is_new:
        response.headers["Location"] = f"/playlists/{written.playlist.playlist_token}"
    if written.is_repeat:
        response.headers[REPLAYED_HEADER] = "true"
    return response


def state_headers(playlist: Playlist) -> dict[str, str]:
    # A client may keep an answer, and has to ask before it uses it: a stale base is a conflict.
    headers = {"Cache-Control": "private, no-cache"}
    if playlist.entity_tag is not None:
        headers["ETag"] = playlist.entity_tag
    return headers
