"""For whoever runs the service: liveness, readiness and metrics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from app.api.openapi import problems_alone
from app.api.problems import RETRY_AFTER, RequestRefused
from app.api.routes import operation_id
from app.api.schemas import Liveness
from app.drain import Drain
from app.metrics import MEDIA_TYPE, Metrics
from app.store.readiness import Readiness

router = APIRouter(tags=["operations"], generate_unique_id_function=operation_id)

# By machines, and often: served whatever the load is, and not logged while all is well.
ASKED_BY_MACHINES = frozenset(("/livez", "/readyz", "/metrics"))

_NOT_READY = ("draining", "storage-unavailable", "authentication-unavailable", "internal-error")


async def _readiness(request: Request) -> Readiness:
    drain: Drain = request.scope["state"]["drain"]
    if drain.has_begun:
        raise RequestRefused("draining", "The process is about to end: send requests elsewhere.", headers=RETRY_AFTER)
    readiness: Readiness = request.scope["state"]["readiness"]
    return readiness


# FastAPI gives no HEAD to a GET by itself (RFC 9110 section 9.1 wants both).
@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Liveness")
async def get_liveness() -> Liveness:
    """Whether the process is alive; asks nobody else."""
    return Liveness(status="alive")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Readiness", responses=problems_alone(*_NOT_READY))
async def get_readiness(readiness: Annotated[Readiness, Depends(_readiness)]) -> Liveness:
    """Whether requests should be sent here: the DynamoDB table can be read, the issuer's keys are there, and the
    process is not about to end.

    `degraded` is ready too: DynamoDB throttles.
    """
    return Liveness(status=await readiness.verdict())


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", summary="Metrics", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """What the service counts and measures, for Prometheus; of all workers together."""
    metrics: Metrics = request.scope["state"]["metrics"]
    return Response(metrics.exposition(), headers={"Content-Type": MEDIA_TYPE})
