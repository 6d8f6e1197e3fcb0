"""/playlists/{playlist_token}/tracks: insert tracks."""

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from app.api.auth import WRITES
from app.api.bodies import JsonBody
from app.api.dependencies import Playlists, PlaylistToken, RequestCaller, RequestPreconditions, RequestWrite
from app.api.openapi import OF_ONE, WITH_BODY, Example, playlist_answer, problems, request_body
from app.api.responses import JSON, write_response
from app.api.routes import playlist_router
from app.api.schemas import NewTracks

router = playlist_router("/playlists/{playlist_token}/tracks")

_NEW_TRACKS = {JSON: NewTracks}


@router.post(
    "",
    summary="Insert tracks",
    dependencies=WRITES,
    responses={
        200: playlist_answer("The playlist with the tracks; as it was if all were skipped.", repeatable=True),
        **problems(
            *OF_ONE,
            *WITH_BODY,
            "edit-conflict",
            "unwritable-item",
            "precondition-failed",
            "patch-not-applicable",
            "duplicate-track",
        ),
    },
    openapi_extra=request_body(
        _NEW_TRACKS,
        {
            JSON: [
                Example("append", 200, {"track_tokens": ["ALBUM_2/TRACK_7"]}),
                Example("insert in first place", 200, {"track_tokens": ["ALBUM_2/TRACK_7"], "position": 0}),
                Example("no duplicates", 409, {"track_tokens": ["ALBUM_1/TRACK_1"], "on_duplicate": "reject"}),
            ]
        },
    ),
)
async def insert_tracks(
    playlist_token: PlaylistToken,
    caller: RequestCaller,
    preconditions: RequestPreconditions,
    write: RequestWrite,
    body: Annotated[NewTracks, Depends(JsonBody(_NEW_TRACKS))],
    playlists: Playlists,
) -> Response:
    """Insert tracks before `position`, or append them where there is none.

    An append without a precondition means the same whatever others write meanwhile, so it is made anew on
    what they left instead of being answered as a conflict.
    """
    result = await playlists.update(
        playlist_token,
        body.insertion().apply,
        caller=caller,
        # An insertion overwrites nothing, so it need not name a state even where other changes have to.
        preconditions=preconditions.optional(),
        write=write,
        commutes=body.position is None,
    )
    return write_response(result)
