"""Every request is counted, and told in one line of the log."""

import logging
import time
from typing import TYPE_CHECKING

from opentelemetry import trace

from app.api.operations import ASKED_BY_MACHINES
from app.api.problem_types import PROBLEM_TYPES
from app.logs import json_lines
from app.metrics import Metrics
from app.store.ledger import opened_ledger

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.store.ledger import Ledger

# Of other methods there is no end, and each would be a time series.
_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
_REPLAYED = (b"idempotency-replayed", b"true")

_log = logging.getLogger("app.access")


class TelemetryMiddleware:
    """Counts in `metrics`, and logs the route's template and not the path, which has a playlist's token.

    `traced` says whether there are traces for lines to name.
    """

    def __init__(self, app: "ASGIApp", *, metrics: Metrics, traced: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._traced = traced
        for code in PROBLEM_TYPES:
            metrics.expect_problem(code)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status: int | None = None
        is_replay = False

        async def send_and_note(message: "Message") -> None:
            nonlocal status, is_replay
            if message["type"] == "http.response.start":
                status = message["status"]
                is_replay = _REPLAYED in message["headers"]
            await send(message)

        in_flight = self._metrics.requests_in_flight
        with opened_ledger() as ledger:
            in_flight.inc()
            try:
                await self._app(scope, receive, send_and_note)
            except Exception:
                # Answered outside of here, by Starlette's handler of unforeseen errors.
                status = status or 500
                scope["state"]["problem_code"] = "internal-error"
                raise
            finally:
                in_flight.dec()
                self._tell(scope, status, is_replay, time.perf_counter() - began, ledger)

    def _tell(self, scope: "Scope", status: int | None, is_replay: bool, seconds: float, ledger: "Ledger") -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "unrouted")
        code = scope["state"].get("problem_code")
        self._metrics.count(
            method=method, route=route, status="none" if status is None else str(status), seconds=seconds, ledger=ledger
        )
        if code is not None:
            self._metrics.count_problem(code)
        if is_replay:
            self._metrics.count_replay()
        level = logging.DEBUG if route in ASKED_BY_MACHINES and status == 200 else logging.INFO
        if not _log.isEnabledFor(level):
            return
        milliseconds = round(seconds * 1000, 1)
        message = f"{method} {route} {status or 'cut off'} {milliseconds} ms{f' {code}' if code else ''}"
        members = {
            "request_id": scope["state"]["request_id"],
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": milliseconds,
            "dynamodb_calls": len(ledger.calls),
            "dynamodb_capacity_units": sum([call.capacity_units for call in ledger.calls]),
            "problem": code,
            "replayed": is_replay,
            "own_writes_recovered": ledger.own_writes_recovered,
            "appends_rebased": ledger.appends_rebased,
        }
        if self._traced:
            members |= _trace_members()
        lines = json_lines(_log)
        if lines is None:
            _log.log(level, message, extra=members)
        else:
            lines.tell(level, _log.name, message, members)


def _trace_members() -> dict[str, str]:
    context = trace.get_current_span().get_span_context()
    return {"trace_id": trace.format_trace_id(context.trace_id)} if context.is_valid else {}
