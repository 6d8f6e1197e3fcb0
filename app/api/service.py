"""The application: FastAPI's, with one layer around the routes for all that is done for every request."""

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.exceptions import ExceptionMiddleware

from app.api.overload import Places, overloaded
from app.api.problems import NOT_STORED, refusal, unforeseen_error
from app.api.request_id import give_request_id
from app.api.routes import DirectRoutes, split_before_decoding
from app.api.telemetry import Telemetry
from app.store.ledger import Ledger, opened_ledger

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REPLAYED = (b"idempotency-replayed", b"true")
# In the state of a request's scope.
_HAS_PLACE = "has_place"


class Service(FastAPI):
    """Direct routes are served without what FastAPI puts around its routes, unless it traces requests.

    So there is no place for further middleware, nor for handlers of a status or of Exception.
    """

    def __init__(self, *, telemetry: Telemetry, places: Places, traced_by: TelemetryConfig, **options: Any) -> None:
        """`traced_by` says how FastAPI makes a span of each request, if it does."""
        super().__init__(telemetry=traced_by, **options)
        self._is_traced = bool(traced_by.get("tracing"))
        self._around = partial(RequestMiddleware, telemetry=telemetry, places=places)
        self._request_telemetry = telemetry
        self._places = places

    def build_middleware_stack(self) -> "ASGIApp":
        if self._is_traced:
            self.add_middleware(self._around)
            return super().build_middleware_stack()
        routed = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)
        return self._around(DirectRoutes(self.routes, self.exception_handlers, otherwise=routed))

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http":
            split_before_decoding(scope)
        # What FastAPI looks at here is for lifespan and traces.
        if self._is_traced or scope["type"] != "http" or self.middleware_stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def refuse_at_once(self, scope: "Scope") -> Response | None:
        """The answer to a request that there is no place for, told and counted; None if the service is to be called.

        A request that needs a place has it then, so the service has to be called. Who asks first saves much of what a
        refusal takes, and has that to serve with under overload.
        """
        if self._is_traced or self._places.needs_none(scope):
            return None
        if self._places.take():
            scope["state"][_HAS_PLACE] = True
            return None
        began = time.perf_counter()
        id_line = give_request_id(scope)
        response = refusal(Request(scope), overloaded())
        response.raw_headers += (id_line, NOT_STORED)
        self._request_telemetry.begin()
        seconds = time.perf_counter() - began
        self._request_telemetry.end(scope, response.status_code, is_replay=False, seconds=seconds, ledger=Ledger())
        return response


class RequestMiddleware:
    """Every request gets an id, and a place or a refusal if it comes without a place; it is served, counted, told.

    An error that nobody has answered is answered here, and raised again for the server to log.
    """

    def __init__(self, app: "ASGIApp", *, telemetry: Telemetry, places: Places) -> None:
        self._app = app
        self._telemetry = telemetry
        self._places = places

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        id_line = give_request_id(scope)
        status: int | None = None
        is_replay = False

        async def send_and_note(message: "Message") -> None:
            nonlocal status, is_replay
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                is_replay = _REPLAYED in headers
                message["headers"] = [*headers, id_line]
                if not any(name == b"cache-control" for name, _ in headers):
                    message["headers"].append(NOT_STORED)
            await send(message)

        places = self._places
        has_place = scope["state"].get(_HAS_PLACE, False)
        with opened_ledger() as ledger:
            try:
                self._telemetry.begin()
                if places.needs_none(scope):
                    await self._app(scope, receive, send_and_note)
                elif has_place or (has_place := places.take()):
                    await self._app(scope, places.receiving(receive), send_and_note)
                else:
                    response = refusal(Request(scope), overloaded())
                    await response(scope, receive, send_and_note)
            except Exception as error:
                response = await unforeseen_error(Request(scope), error)
                if status is None:
                    await response(scope, receive, send_and_note)
                raise
            finally:
                if has_place:
                    places.give_back()
                seconds = time.perf_counter() - began
                self._telemetry.end(scope, status, is_replay=is_replay, seconds=seconds, ledger=ledger)
