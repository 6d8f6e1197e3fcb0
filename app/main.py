"""The application and what it holds for its life: the only place where the parts are joined."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TypedDict

from fastapi import FastAPI

from app import tracing
from app.api import listing, operations, playlists, plays, tracks
from app.api.openapi import TITLE, openapi_document, operation_id
from app.api.pages import add_pages
from app.api.problems import add_problem_handlers
from app.api.request_id import RequestIdMiddleware
from app.api.telemetry import TelemetryMiddleware
from app.metrics import Metrics
from app.settings import Settings, load_settings
from app.store.attempts import Attempts
from app.store.client import open_client
from app.store.dynamodb import DynamoDBTable
from app.store.playlists import PlaylistRepository
from app.store.plays import PlayCounters


class State(TypedDict):
    """What every request finds in `request.state`."""

    playlists: PlaylistRepository
    counters: PlayCounters
    metrics: Metrics
    require_precondition: bool
    track_token_pattern: re.Pattern[str] | None


def create_app(settings: Settings) -> FastAPI:
    """The service with these settings; its DynamoDB client opens and closes with the lifespan."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        pattern = settings.track_token_pattern
        with tracing.of_calls():
            async with open_client(settings) as client:
                attempts = Attempts(settings)
                table = DynamoDBTable(client, settings.table_name, write_region=settings.mrec_write_region)
                yield State(
                    playlists=PlaylistRepository(table, attempts),
                    counters=PlayCounters(table, attempts),
                    metrics=metrics,
                    require_precondition=settings.require_precondition,
                    track_token_pattern=None if pattern is None else re.compile(pattern),
                )

    app = FastAPI(
        title=TITLE,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        telemetry=tracing.of_requests(),
    )
    app.openapi = cache(lambda: openapi_document(app))  # type: ignore[method-assign]
    app.add_middleware(TelemetryMiddleware, metrics=metrics)
    app.add_middleware(RequestIdMiddleware)
    add_problem_handlers(app)
    app.include_router(playlists.router)
    app.include_router(tracks.router)
    app.include_router(plays.router)
    app.include_router(listing.router)
    app.include_router(operations.router)
    add_pages(app)
    return app


def create_app_from_environment() -> FastAPI:
    """What every uvicorn worker calls."""
    return create_app(load_settings())
