"""Every request is counted, and told in one line of the log."""

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry import trace

from app.api.operations import ASKED_BY_MACHINES
from app.api.problem_types import PROBLEM_TYPES
from app.logs import JsonLines, Line, json_lines
from app.metrics import Metrics, Served
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


class _Told(msgspec.Struct, frozen=True):
    """What a line tells of a request; it is made when it is written."""

    served: Served
    level: int
    request_id: str
    trace_id: str | msgspec.UnsetType

    def line(self, time: str) -> _RequestLine:
        served, ledger = self.served, self.served.ledger
        milliseconds = round(served.seconds * 1000, 1)
        outcome = f"{served.status or 'cut off'} {milliseconds} ms{f' {served.problem}' if served.problem else ''}"
        return _RequestLine(
            logging.getLevelName(self.level),
            _log.name,
            f"{served.method} {served.route} {outcome}",
            self.request_id,
            served.method,
            served.route,
            served.status,
            milliseconds,
            len(ledger.calls),
            sum([call.capacity_units for call in ledger.calls]),
            served.problem,
            served.is_replay,
            ledger.own_writes_recovered,
            ledger.appends_rebased,
            self.trace_id,
            time,
        )


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
        state = scope["state"]
        served = Served(method, route, status, state.get("problem_code"), is_replay, seconds, ledger)
        self._metrics.count(served)
        level = logging.DEBUG if status == 200 and route in ASKED_BY_MACHINES else logging.INFO
        if not _log.isEnabledFor(level):
            return
        told = _Told(served, level, state["request_id"], _trace_id() if self._traced else msgspec.UNSET)
        if self._lines is None:
            line = told.line("")
            _log.log(level, line.message, extra=line.extra())
        else:
            self._lines.tell(told.line)

    @cached_property
    def _lines(self) -> JsonLines | None:
        # Looked for once, at the first request: the log is set up by then, and handlers that come later are not told.
        return json_lines(_log)


def _trace_id() -> str | msgspec.UnsetType:
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else msgspec.UNSET
