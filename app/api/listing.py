"""/playlists: the caller's playlists, a page at a time."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from app.api.auth import READS
from app.api.cursors import cursor_after, token_before
from app.api.dependencies import Playlists, RequestCaller
from app.api.openapi import page_answer, page_parameters, problems
from app.api.problems import RequestRefused
from app.api.responses import json_response
from app.api.routes import playlist_router
from app.api.schemas import PAGE_LIMIT, PAGE_LIMIT_DEFAULT, summary_members

router = playlist_router("/playlists")


@dataclass(frozen=True, slots=True)
class PageWanted:
    """Which part of the list: at most how many playlists, and after which."""

    limit: int
    after: str | None


async def _page_wanted(request: Request, caller: RequestCaller) -> PageWanted:
    limits = request.query_params.getlist("limit") or [str(PAGE_LIMIT_DEFAULT)]
    cursors = request.query_params.getlist("cursor")
    limit = int(limits[0]) if len(limits) == 1 and re.fullmatch("[0-9]{1,3}", limits[0]) else 0
    after = token_before(cursors[0], caller=caller.subject) if len(cursors) == 1 else None
    faults = []
    if not 1 <= limit <= PAGE_LIMIT:
        faults.append(f"limit must be one integer from 1 to {PAGE_LIMIT}")
    if cursors and after is None:
        faults.append("cursor must be one `next_cursor` that this list gave to you, unchanged; begin again without it")
    if faults:
        raise RequestRefused(
            "invalid-request",
            "The query says something that is not allowed.",
            errors=[{"pointer": "", "detail": fault} for fault in faults],
        )
    return PageWanted(limit, after)


_LIST: dict[str, Any] = {
    "dependencies": READS,
    "responses": {
        200: page_answer("Playlists in the order of their tokens."),
        **problems("invalid-request", "listing-unavailable"),
    },
    "openapi_extra": page_parameters(),
}


@router.head("", name="head_playlists", summary="Read the headers of a list", **_LIST)
@router.get("", summary="List your playlists", **_LIST)
async def list_playlists(
    page_wanted: Annotated[PageWanted, Depends(_page_wanted)], caller: RequestCaller, playlists: Playlists
) -> Response:
    """List your playlists, without their tracks.

    The list is eventually consistent: a new playlist may be missing for a moment, and a deleted one
    be shown. Playlists without an owner, which other programs made, are in nobody's list.
    """
    page = await playlists.list_by_owner(caller.subject, limit=page_wanted.limit, after=page_wanted.after)
    next_cursor = None if page.next_after is None else cursor_after(page.next_after, caller=caller.subject)
    members = {"items": [summary_members(summary) for summary in page.items], "next_cursor": next_cursor}
    response = json_response(members)
    if next_cursor is not None:
        response.headers["Link"] = f'<{router.prefix}?limit={page_wanted.limit}&cursor={next_cursor}>; rel="next"'
    return response
