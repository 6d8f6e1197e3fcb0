"""Every request is counted, and told in one line of the log."""

import logging
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry import trace

from app.api.operations import ASKED_BY_MACHINES
from app.api.problem_types import PROBLEM_TYPES
from app.logs import Line, json_lines
from app.metrics import Metrics
from app.store.ledger import Ledger

if TYPE_CHECKING:
    from starlette.types import Scope

# Of other methods there is no end, and each would be a time series.
_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

_log = logging.getLogger("app.access")


class _RequestLine(Line):
    request_id: str
    method: str
    route: str
    status: int | None
    duration_ms: float
    dynamodb_calls: int
    dynamodb_capacity_units: float
    problem: str | None
    replayed: bool
    own_writes_recovered: int
    appends_rebased: int
    trace_id: str | msgspec.UnsetType
    time: str

    def extra(self) -> dict[str, Any]:
        """What a record has besides."""
        members = {name: getattr(self, name) for name in _RequestLine.__annotations__ if name != "time"}
        return {name: value for name, value in members.items() if value is not msgspec.UNSET}


class Telemetry:
    """Counts in `metrics`, and logs the route's template and not the path, which has a playlist's token.

    `traced` says whether there are traces for lines to name.
    """

    def __init__(self, metrics: Metrics, *, traced: bool) -> None:
        self._metrics = metrics
        self._traced = traced
        for code in PROBLEM_TYPES:
            metrics.expect_problem(code)

    def begin(self) -> None:
        """A request has begun."""
        self._metrics.count_begun()

    def end(self, scope: "Scope", status: int | None, *, is_replay: bool, seconds: float, ledger: Ledger) -> None:
        """It has ended: with this status, or None if it was cut off before its answer, after this time."""
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
        level = logging.DEBUG if status == 200 and route in ASKED_BY_MACHINES else logging.INFO
        if not _log.isEnabledFor(level):
            return
        trace_id = _trace_id() if self._traced else msgspec.UNSET
        request_id = scope["state"]["request_id"]

        def describe(time: str) -> _RequestLine:
            milliseconds = round(seconds * 1000, 1)
            return _RequestLine(
                logging.getLevelName(level),
                _log.name,
                f"{method} {route} {status or 'cut off'} {milliseconds} ms{f' {code}' if code else ''}",
                request_id,
                method,
                route,
                status,
                milliseconds,
                len(ledger.calls),
                sum([call.capacity_units for call in ledger.calls]),
                code,
                is_replay,
                ledger.own_writes_recovered,
                ledger.appends_rebased,
                trace_id,
                time,
            )

        lines = json_lines(_log)
        if lines is None:
            line = describe("")
            _log.log(level, line.message, extra=line.extra())
        else:
            lines.tell(describe)


def _trace_id() -> str | msgspec.UnsetType:
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else msgspec.UNSET
