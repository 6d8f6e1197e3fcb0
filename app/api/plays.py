"""/playlists/{playlist_token}/plays: count plays."""

from typing import Any

from starlette.responses import Response

from app.api.auth import READS, WRITES
from app.api.dependencies import Counters, PlaylistToken, RequestWrite
from app.api.openapi import OF_ONE, json_answer, problems
from app.api.responses import json_response
from app.api.routes import playlist_router
from app.api.schemas import PlayCount

router = playlist_router("/playlists/{playlist_token}/plays")


@router.post(
    "",
    summary="Count a play",
    dependencies=WRITES,
    responses={
        200: json_answer("How often the playlist was played, this time included.", PlayCount),
        **problems(
            *OF_ONE,
            "body-too-large",
            "idempotency-key-reused",
            "invalid-request",
            "unwritable-item",
            "read-only-region",
            "outcome-unknown",
            "request-timeout",
        ),
    },
)
async def count_play(playlist_token: PlaylistToken, write: RequestWrite, counters: Counters) -> Response:
    """Count one play. It changes no version and makes no change of the playlist conflict.

    A play is no change of the playlist, so whoever may write may count one, of whosesoever playlist. A
    body is not looked at. With an `Idempotency-Key` a play is counted once, however often it is
    sent within ten minutes; without one, send it again after a 504 only if counting twice does no
    harm.
    """
    return _answer(playlist_token, await counters.count(playlist_token, write=write))


_READ: dict[str, Any] = {
    "dependencies": READS,
    "responses": {200: json_answer("How often the playlist was played.", PlayCount), **problems("playlist-not-found")},
}


@router.head("", name="head_plays", summary="Read the play count's headers", **_READ)
@router.get("", summary="Read the play count", **_READ)
async def get_plays(playlist_token: PlaylistToken, counters: Counters) -> Response:
    """Read how often the playlist was played, strongly consistent; 0 where it never was."""
    return _answer(playlist_token, await counters.get(playlist_token))


def _answer(playlist_token: str, play_count: int | None) -> Response:
    return json_response({"playlist_token": playlist_token, "play_count": play_count})
