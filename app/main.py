"""The application and what it holds for its life: the only place where the parts are joined."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import TypedDict

from starlette.responses import Response
from starlette.types import Scope

from app import tracing
from app.api import listing, operations, playlists, plays, tracks
from app.api.access_tokens import AccessTokens
from app.api.auth import opened_access_tokens, readiness_checks
from app.api.openapi import TITLE, openapi_document
from app.api.overload import Places
from app.api.pages import add_pages
from app.api.problems import add_problem_handlers
from app.api.service import Service
from app.api.telemetry import Telemetry
from app.drain import Drain
from app.metrics import Metrics
from app.settings import Settings
from app.store.attempts import Attempts
from app.store.client import open_client
from app.store.dynamodb import DynamoDBTable
from app.store.playlists import PlaylistRepository
from app.store.plays import PlayCounters
from app.store.readiness import Readiness
from app.store.time_limits import Timer

_ROUTERS = (playlists.router, tracks.router, plays.router, listing.router, operations.router)


class State(TypedDict):
    """What every request finds in the `state` of its scope."""

    playlists: PlaylistRepository
    counters: PlayCounters
    metrics: Metrics
    access_tokens: AccessTokens | None
    writes_ownerless: bool
    require_precondition: bool
    track_token_pattern: re.Pattern[str] | None
    body_timeout_seconds: float
    body_timer: Timer
    readiness: Readiness
    drain: Drain
    refuse_at_once: Callable[[Scope], Response | None]


def create_app(settings: Settings, *, drain: Drain | None = None) -> Service:
    """The service with these settings; its DynamoDB client opens and closes with the lifespan.

    `drain` is what tells it that its process is about to end.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: Service) -> AsyncIterator[State]:
        pattern = settings.track_token_pattern
        with tracing.of_calls():
            async with (
                open_client(settings, is_traced=tracing.is_wanted()) as client,
                opened_access_tokens(settings, on_refresh=metrics.count_key_refresh) as access_tokens,
            ):
                attempts = Attempts(settings)
                table = DynamoDBTable(client, settings.table_name, write_region=settings.mrec_write_region)
                yield State(
                    playlists=PlaylistRepository(table, attempts),
                    counters=PlayCounters(table, attempts),
                    metrics=metrics,
                    access_tokens=access_tokens,
                    writes_ownerless=settings.ownerless_writes == "any",
                    require_precondition=settings.require_precondition,
                    track_token_pattern=None if pattern is None else re.compile(pattern),
                    body_timeout_seconds=settings.body_timeout_seconds,
                    body_timer=Timer(),
                    readiness=Readiness(table, checks=readiness_checks(access_tokens)),
                    drain=drain or Drain(),
                    refuse_at_once=app.refuse_at_once,
                )

    app = Service(
        telemetry=Telemetry(metrics, traced=tracing.is_wanted()),
        places=Places(settings.max_requests_in_flight),
        traced_by=tracing.of_requests(),
        title=TITLE,
        # As they are, and not included as routers, of which direct routes are not found. What is asked for most
        # often comes first.
        routes=[route for router in _ROUTERS for route in router.routes],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.openapi = cache(lambda: openapi_document(app))  # type: ignore[method-assign]
    add_problem_handlers(app)
    add_pages(app)
    return app
