"""Answers in JSON, those with a playlist among them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from app.domain.playlist import Playlist
from app.store.writes import WriteResult

JSON = "application/json"
_IS_JSON = (b"content-type", JSON.encode())
# A client may keep an answer, and has to ask before it uses it: a stale base is a conflict.
_REVALIDATED = (b"cache-control", b"private, no-cache")


class _JsonResponse(Response):
    def __init__(self, content: bytes, status: int) -> None:
        # What a Response finds out of its content and headers is known here.
        self.status_code = status
        self.background = None
        self.body = content
        self.raw_headers = [(b"content-length", b"%d" % len(content)), _IS_JSON, _REVALIDATED]


def json_response(members: Mapping[str, Any], status: int = 200) -> Response:
    """JSON that caches have to revalidate."""
    return _JsonResponse(msgspec.json.encode(members), status)


def playlist_response(playlist: Playlist, status: int = 200) -> Response:
    """A playlist as JSON, with its entity-tag."""
    return _tagged(_JsonResponse(playlist.representation, status), playlist)


def not_modified_response(playlist: Playlist) -> Response:
    """What a client that has this state is told: that it has."""
    response = Response(status_code=304)
    response.raw_headers.append(_REVALIDATED)
    return _tagged(response, playlist)


def write_response(result: WriteResult) -> Response:
    """The playlist after a write: 201 if it was created, marked if the write was replayed."""
    response = playlist_response(result.playlist, 201 if result.created else 200)
    if result.created:
        response.headers["Location"] = f"/playlists/{result.playlist.playlist_token}"
    if result.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _tagged(response: Response, playlist: Playlist) -> Response:
    response.raw_headers.append((b"etag", playlist.entity_tag.encode("latin-1")))
    return response
