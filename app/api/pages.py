"""The pages for people: a landing page, the docs page, and what the problem types are. They need no network but us.

`landing_page/` is ours. `swagger_ui/` holds files of npm's swagger-ui-dist as they are (Apache-2.0, licence and
SHA256SUMS beside them), and `index.html`, `dark-mode.js` and `start.js`, which are ours.
"""

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.api.fields import preferred_media_type
from app.api.problem_types import PROBLEM_TYPES, ProblemType
from app.api.problems import problem

_LANDING_PAGE = Path(__file__).parent / "landing_page"
_SWAGGER_UI = Path(__file__).parent / "swagger_ui"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Files of one release are not to be mixed with those of the last.
    "Cache-Control": "no-cache",
}
# Swagger UI draws its icons from data: URLs.
_DOCS_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": _POLICY.replace("img-src 'self'", "img-src 'self' data:"),
}

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def get_landing_page() -> Response:
    return FileResponse(_LANDING_PAGE / "index.html", headers=_HEADERS)


@router.head("/docs")
@router.get("/docs")
async def get_docs_page() -> Response:
    return FileResponse(_SWAGGER_UI / "index.html", headers=_DOCS_HEADERS)


@router.head("/problems")
@router.get("/problems")
async def get_problem_types() -> Response:
    """All problem types on one page; each has its own at /problems/{code}, too."""
    lead = (
        "Every error is problem details (RFC 9457) with one of these as its <code>code</code>. They are stable: "
        "programs can decide by them."
    )
    page = _problems_page("Problem types", lead, PROBLEM_TYPES.values(), current=' aria-current="page"')
    return HTMLResponse(page, headers=_HEADERS)


@router.head("/problems/{code}")
@router.get("/problems/{code}")
async def explain_problem(code: str, request: Request) -> Response:
    """What a problem type means and what to do about it, where the `type` of every problem leads: a page for browsers,
    the same as JSON or text for others."""
    kind = PROBLEM_TYPES.get(code)
    if kind is None:
        return problem(request, "not-found", f"There is no problem type {code!r}.")
    headers = {**_HEADERS, "Vary": "Accept"}
    match preferred_media_type(request, ("text/plain", "text/html", "application/json")):
        case "text/html":
            lead = '<a href="/problems">All problem types</a>'
            return HTMLResponse(_problems_page(kind.title, lead, [kind]), headers=headers)
        case "application/json":
            members = {name: getattr(kind, name) for name in ("code", "status", "title", "explanation")}
            return JSONResponse(members, headers=headers)
        case _:
            text = f"{kind.title} ({kind.code}, status {kind.status})\n\n{kind.explanation}\n"
            return PlainTextResponse(text, headers=headers)


@router.head("/favicon.ico")
@router.get("/favicon.ico")
async def get_icon() -> Response:
    """What browsers ask for beside answers that name no icon, as JSON does."""
    return FileResponse(_LANDING_PAGE / "icon.svg", headers=_HEADERS)


def _problems_page(title: str, lead: str, kinds: Iterable[ProblemType], *, current: str = "") -> str:
    page = (_LANDING_PAGE / "problems.html").read_text(encoding="utf-8")
    entries = "\n".join(
        f'<dt id="{kind.code}"><a href="/problems/{kind.code}"><code>{kind.code}</code></a> '
        f'<span class="status">{kind.status}</span> {escape(kind.title)}</dt>\n<dd>{_marked_up(kind.explanation)}</dd>'
        for kind in kinds
    )
    content = (
        f'    <h1 class="problem-types-head">{escape(title)}</h1>\n    <p class="lead">{lead}</p>\n'
        f'    <dl class="problem-types">\n{entries}\n    </dl>'
    )
    parts = {"title": escape(title), "current": current, "content": content}
    return re.sub("<!-- (title|current|content) -->", lambda comment: parts[comment[1]], page)


def _marked_up(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def add_pages(app: FastAPI) -> None:
    """Serve the pages and their assets."""
    app.include_router(router)
    app.mount("/assets", _Assets(directory=_LANDING_PAGE), name="assets")
    app.mount("/docs/assets", _Assets(directory=_SWAGGER_UI), name="docs_assets")


class _Assets(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            # Starlette checks the method first, but a file that does not exist has no methods to list.
            await super().get_response(path, {**scope, "method": "HEAD"})
        return await super().get_response(path, scope)

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(_HEADERS)
        return response
