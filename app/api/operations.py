"""For whoever runs the service: liveness, readiness, and what the problem types mean."""

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from app.api.dependencies import Playlists
from app.api.openapi import problems
from app.api.problem_types import PROBLEM_TYPES
from app.api.problems import problem
from app.api.schemas import Liveness
from app.domain.errors import PlaylistNotFound
from app.metrics import MEDIA_TYPE, Metrics

router = APIRouter(tags=["operations"])

# No client can choose a token with a space.
_PROBE_TOKEN = "READINESS PROBE"


# FastAPI gives no HEAD to a GET by itself (RFC 9110 section 9.1 wants both).
@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Liveness")
async def get_liveness() -> Liveness:
    """Whether the process is alive; asks nobody else."""
    return Liveness(status="alive")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Readiness", responses=problems(guarded=False))
async def get_readiness(playlists: Playlists) -> Liveness:
    """Whether the DynamoDB table can be read: a GetItem of a key that nothing has."""
    with suppress(PlaylistNotFound):
        await playlists.get(_PROBE_TOKEN)
    return Liveness(status="ready")


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", summary="Metrics", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """What the service counts and measures, for Prometheus; of all workers together."""
    metrics: Metrics = request.state.metrics
    return Response(metrics.exposition(), headers={"Content-Type": MEDIA_TYPE})


@router.head("/problems/{code}", include_in_schema=False)
@router.get("/problems/{code}", include_in_schema=False)
async def explain_problem(code: str, request: Request) -> Response:
    """What a problem type means and what to do about it: where `type` of every problem leads."""
    kind = PROBLEM_TYPES.get(code)
    if kind is None:
        return problem(request, "not-found", f"There is no problem type {code!r}.")
    return PlainTextResponse(f"{kind.title} ({kind.code}, status {kind.status})\n\n{kind.explanation}\n")
