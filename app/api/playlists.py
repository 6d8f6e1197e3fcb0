"""/playlists: create, read, edit, replace and delete."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends
from starlette.responses import Response
from ulid import ULID

from app.api.auth import READS, WRITES
from app.api.bodies import JsonBody
from app.api.dependencies import (
    DeletedPlaylistToken,
    Playlists,
    PlaylistToken,
    RequestCaller,
    RequestPreconditions,
    RequestWrite,
)
from app.api.openapi import CONDITIONAL, OF_ONE, WITH_BODY, Example, playlist_answer, problems, request_body
from app.api.problems import RequestRefused
from app.api.responses import JSON, not_modified_response, playlist_response, write_response
from app.api.routes import playlist_router
from app.api.schemas import PlaylistCreation, PlaylistJsonPatch, PlaylistMergePatch, PlaylistReplacement
from app.domain.preconditions import Preconditions

router = playlist_router("/playlists")

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_NEW = {JSON: PlaylistCreation}
_REPLACEMENT = {JSON: PlaylistReplacement}
_PATCH: Mapping[str, type[PlaylistMergePatch | PlaylistJsonPatch]] = {
    MERGE_PATCH: PlaylistMergePatch,
    JSON: PlaylistMergePatch,
    JSON_PATCH: PlaylistJsonPatch,
}

# As many as the example playlist has, so that the JSON Patch applies before and after they replace its tracks.
_EXAMPLE_TRACKS = ["ALBUM_1/TRACK_1", "ALBUM_2/TRACK_7", "ALBUM_3/TRACK_5"]


@router.post(
    "",
    summary="Create a playlist",
    dependencies=WRITES,
    status_code=201,
    responses={
        201: playlist_answer("The new playlist, at version 1.", created=True, repeatable=True),
        **problems(*WITH_BODY),
    },
    openapi_extra=request_body(
        _NEW,
        {
            JSON: [
                Example("create", 201, {"playlist_name": "Road Trip", "track_tokens": _EXAMPLE_TRACKS}),
            ]
        },
    ),
)
async def create_playlist(
    caller: RequestCaller,
    write: RequestWrite,
    body: Annotated[PlaylistCreation, Depends(JsonBody(_NEW))],
    playlists: Playlists,
) -> Response:
    """Create a playlist. The service makes its token, which sorts by time.

    With an `Idempotency-Key` the token is made from the key, and a repeat is answered with the
    playlist that the first one made, as it is now.
    """
    playlist_token = write.playlist_token or str(ULID())
    result = await playlists.create(playlist_token, body.content(), caller=caller, write=write)
    return write_response(result)


_READ: dict[str, Any] = {
    "dependencies": READS,
    "responses": {
        200: playlist_answer("The playlist."),
        304: {"description": "`If-None-Match` names the current state."},
        **problems(*OF_ONE, "precondition-failed"),
    },
}


@router.head("/{playlist_token}", name="head_playlist", summary="Read a playlist's headers", **_READ)
@router.get("/{playlist_token}", summary="Read a playlist", **_READ)
async def get_playlist(
    playlist_token: PlaylistToken, preconditions: RequestPreconditions, playlists: Playlists
) -> Response:
    """Read a playlist, strongly consistent. With `If-None-Match`, only if it has changed."""
    playlist = await playlists.get(playlist_token)
    if preconditions.if_match is not None:
        Preconditions(if_match=preconditions.if_match).check(playlist)
    if preconditions.if_none_match is not None and preconditions.if_none_match.match_weakly(playlist):
        return not_modified_response(playlist)
    return playlist_response(playlist)


@router.patch(
    "/{playlist_token}",
    summary="Rename or edit a playlist",
    dependencies=WRITES,
    responses={
        200: playlist_answer("The playlist after the change, as it was if that changes nothing.", repeatable=True),
        **problems(*OF_ONE, *WITH_BODY, *CONDITIONAL, "unwritable-item", "version-conflict", "patch-not-applicable"),
    },
    openapi_extra=request_body(
        _PATCH,
        {
            MERGE_PATCH: [
                Example("rename", 200, {"playlist_name": "Road Trip"}),
                Example("stale rename", 409, {"playlist_name": "Too late", "playlist_version": 1}),
            ],
            JSON: [
                Example("replace the tracks", 200, {"track_tokens": _EXAMPLE_TRACKS}),
            ],
            JSON_PATCH: [
                Example(
                    "rename and add a track in second place",
                    200,
                    [
                        {"op": "test", "path": "/track_tokens/0", "value": "ALBUM_1/TRACK_1"},
                        {"op": "replace", "path": "/playlist_name", "value": "Road Trip"},
                        {"op": "add", "path": "/track_tokens/-", "value": "ALBUM_2/TRACK_7"},
                        {"op": "move", "from": "/track_tokens/3", "path": "/track_tokens/1"},
                    ],
                ),
                Example("failed test", 409, [{"op": "test", "path": "/playlist_version", "value": 1}]),
            ],
        },
    ),
)
async def edit_playlist(
    playlist_token: PlaylistToken,
    caller: RequestCaller,
    preconditions: RequestPreconditions,
    write: RequestWrite,
    body: Annotated[PlaylistMergePatch | PlaylistJsonPatch, Depends(JsonBody(_PATCH))],
    playlists: Playlists,
) -> Response:
    """Rename a playlist or edit its tracks, all or nothing.

    A merge patch (RFC 7396; the same as `application/json`) replaces the members that it names. A
    JSON Patch (RFC 6902) adds, removes, replaces, moves, copies and tests single tracks too.

    The change is written only if nobody else has written since the playlist was read for it. Name
    the state that you made it from, in `If-Match` or in a merge patch's `playlist_version`, and it is
    written only if nobody else has written since then.
    """
    result = await playlists.update(
        playlist_token,
        body.change(),
        caller=caller,
        preconditions=preconditions.expecting(body.playlist_version),
        write=write,
    )
    return write_response(result)


@router.put(
    "/{playlist_token}",
    summary="Create or replace a playlist",
    dependencies=WRITES,
    responses={
        200: playlist_answer("The playlist after its replacement.", repeatable=True),
        201: playlist_answer("The new playlist, at version 1.", created=True, repeatable=True),
        **problems(*WITH_BODY, *CONDITIONAL, "unwritable-item", "version-conflict", "playlist-exists"),
    },
    openapi_extra=request_body(
        _REPLACEMENT,
        {
            JSON: [
                Example("replace", 200, {"playlist_name": "Morning Run", "track_tokens": _EXAMPLE_TRACKS}),
            ]
        },
    ),
)
async def put_playlist(
    playlist_token: PlaylistToken,
    caller: RequestCaller,
    preconditions: RequestPreconditions,
    write: RequestWrite,
    body: Annotated[PlaylistReplacement, Depends(JsonBody(_REPLACEMENT))],
    playlists: Playlists,
) -> Response:
    """Create a playlist under a token that you choose, or replace its name and tracks.

    `If-None-Match: *` creates only; `If-Match` replaces only. What a GET answered can be edited and
    sent back: its `playlist_version` then is the version that you expect.
    """
    if body.playlist_token is not None and body.playlist_token != playlist_token:
        raise RequestRefused(
            "invalid-request",
            "The body is of another playlist than the path.",
            errors=[{"pointer": "/playlist_token", "detail": f"must be {playlist_token!r} or left out"}],
        )
    result = await playlists.put(
        playlist_token,
        body.replacement().apply,
        caller=caller,
        preconditions=preconditions.expecting(body.playlist_version),
        write=write,
    )
    return write_response(result)


@router.delete(
    "/{playlist_token}",
    summary="Delete a playlist",
    dependencies=WRITES,
    status_code=204,
    responses={
        204: {"description": "The playlist is gone."},
        **problems(*OF_ONE, *CONDITIONAL),
    },
)
async def delete_playlist(
    playlist_token: DeletedPlaylistToken,
    caller: RequestCaller,
    preconditions: RequestPreconditions,
    playlists: Playlists,
) -> Response:
    """Delete a playlist, only if nobody has written since it was read; with `If-Match`, since then.

    Its play counter goes too. An `Idempotency-Key` is not looked at: a deletion that is repeated finds
    nothing to delete.
    """
    await playlists.delete(playlist_token, caller=caller, preconditions=preconditions)
    return Response(status_code=204)
