"""The docs page: Swagger UI from our own copies, so that it works with no network.

`swagger_ui/` holds files of npm's swagger-ui-dist 5.35.0 as they are (Apache-2.0, licence beside
them), and `index.html` and `start.js`, which are ours.
"""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

_FILES = Path(__file__).parent / "swagger_ui"
# Swagger UI sets style attributes and draws its icons from data: URLs; nothing else is let in.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def get_landing_page() -> Response:
    return RedirectResponse("/docs")


@router.head("/docs")
@router.get("/docs")
async def get_docs_page() -> Response:
    return FileResponse(_FILES / "index.html", headers=_HEADERS)


def add_docs(app: FastAPI) -> None:
    """Serve the docs page and its assets."""
    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=_FILES), name="docs_assets")
