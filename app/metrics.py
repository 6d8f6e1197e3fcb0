"""The service's metrics, for Prometheus."""

import os
from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.store.ledger import Call, Ledger

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Where the processes of one service keep what they count; read by prometheus_client when it is imported.
_SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Requests that wait to be counted: many in a row take less time. Others look into the shared folder at any time, so
# none waits there.
_WAITING = 64
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@contextmanager
def counted_together(workers: int) -> Iterator[None]:
    """Let the workers that are started in the block count in one place, which is empty at first.

    https://prometheus.github.io/client_python/multiprocess/
    """
    if workers == 1:
        yield
        return
    with TemporaryDirectory(prefix="playlists-metrics-") as folder:
        os.environ[_SHARED_FOLDER] = folder
        yield


class Served(msgspec.Struct, frozen=True):
    """A request that has been served, in `seconds`: with this status, or None if it was cut off before its answer.

    `problem` is the code of the problem that it was answered with. The ledger has what the store did for it.
    """

    method: str
    route: str
    status: int | None
    problem: str | None
    is_replay: bool
    seconds: float
    ledger: Ledger


class _Durations(Histogram):
    def observe_all(self, seconds: Sequence[float]) -> None:
        """Observe each, with what `observe` does for each done once."""
        self._sum.inc(sum(seconds))
        for bucket, number in Counts(bisect_left(self._upper_bounds, duration) for duration in seconds).items():
            self._buckets[bucket].inc(number)


class Metrics:
    """What one process counts and measures; times are in seconds, capacity in DynamoDB's units."""

    def __init__(self) -> None:
        disable_created_metrics()
        self._registry = registry = CollectorRegistry()
        self._waiting: list[Served] = []
        self._most_waiting = 1 if _SHARED_FOLDER in os.environ else _WAITING
        self._in_flight = 0
        self._requests_in_flight = Gauge(
            "playlists_http_requests_in_flight",
            "Requests that are being served.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._requests = Counter(
            "playlists_http_requests",
            "Requests, by route template and status; no status if it was cut off before its answer.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._durations = _Durations(
            "playlists_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer.",
            ["method", "route"],
            registry=registry,
            buckets=_SECONDS,
        )
        # Each keeps what `labels` looks up under a lock, with strings made of its arguments.
        self._requests_of = cache(self._requests.labels)
        self._durations_of = cache(self._durations.labels)
        self._problems = Counter(
            "playlists_problems",
            "Requests that were answered with a problem, by its code.",
            ["code"],
            registry=registry,
        )
        self._replays = Counter(
            "playlists_replays", "Writes that had been made before under the same Idempotency-Key.", registry=registry
        )
        self._own_writes_recovered = Counter(
            "playlists_own_writes_recovered",
            "Writes whose answer was lost and that were found to have been made.",
            registry=registry,
        )
        self._appends_rebased = Counter(
            "playlists_appends_rebased", "Appends made anew on what another writer left.", registry=registry
        )
        self._calls = Counter(
            "playlists_dynamodb_calls",
            "Calls to DynamoDB, each attempt one.",
            ["operation", "outcome"],
            registry=registry,
        )
        self._call_durations = _Durations(
            "playlists_dynamodb_call_duration_seconds",
            "Time of a call to DynamoDB.",
            ["operation"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._capacity_units = Counter(
            "playlists_dynamodb_capacity_units",
            "Capacity units that DynamoDB says its calls took; failed conditions take some that it does not tell.",
            ["operation"],
            registry=registry,
        )
        self._calls_of = cache(self._calls.labels)
        self._call_durations_of = cache(self._call_durations.labels)
        self._capacity_units_of = cache(self._capacity_units.labels)
        self._key_refreshes = Counter(
            "playlists_jwks_refreshes", "Attempts to read the issuer's keys.", ["outcome"], registry=registry
        )
        self._keys_loaded = Gauge(
            "playlists_jwks_loaded_timestamp_seconds",
            "When the keys of the issuer were read last, in seconds since 1970; of several workers, the earliest.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        if _SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=registry)

    def count_begun(self) -> None:
        """Count a request that is being served from here on."""
        self._in_flight += 1
        if self._most_waiting == 1:
            self._requests_in_flight.set(self._in_flight)

    def count(self, served: Served) -> None:
        """Count a request that is being served no more."""
        self._in_flight -= 1
        self._waiting.append(served)
        if len(self._waiting) >= self._most_waiting:
            self._count_waiting()

    def _count_waiting(self) -> None:
        self._requests_in_flight.set(self._in_flight)
        waiting, self._waiting = self._waiting, []
        requests: defaultdict[tuple[str, str, int | None], list[float]] = defaultdict(list)
        calls: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
        for served in waiting:
            requests[served.method, served.route, served.status].append(served.seconds)
            if served.problem is not None:
                self._problems.labels(served.problem).inc()
            if served.is_replay:
                self._replays.inc()
            ledger = served.ledger
            if ledger.own_writes_recovered:
                self._own_writes_recovered.inc(ledger.own_writes_recovered)
            if ledger.appends_rebased:
                self._appends_rebased.inc(ledger.appends_rebased)
            for call in ledger.calls:
                calls[call.operation, call.outcome].append(call)
        for (method, route, status), durations in requests.items():
            self._requests_of(method, route, "none" if status is None else str(status)).inc(len(durations))
            self._durations_of(method, route).observe_all(durations)
        for (operation, outcome), attempts in calls.items():
            self._calls_of(operation, outcome).inc(len(attempts))
            self._call_durations_of(operation).observe_all([call.seconds for call in attempts])
            self._capacity_units_of(operation).inc(sum([call.capacity_units for call in attempts]))

    def expect_problem(self, code: str) -> None:
        """Have a count of 0 from the start: the first one would not show as an increase else."""
        self._problems.labels(code)

    def count_key_refresh(self, outcome: str) -> None:
        """Count an attempt to read the issuer's keys: `ok` or `failed`."""
        self._key_refreshes.labels(outcome).inc()
        if outcome == "ok":
            self._keys_loaded.set_to_current_time()

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format, that of the other workers included."""
        self._count_waiting()
        folder = os.environ.get(_SHARED_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        shared = CollectorRegistry()
        MultiProcessCollector(shared, path=folder)
        return generate_latest(shared)


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of workers that were killed, which could not bring them down to zero."""
    for file in folder.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):
                mark_process_dead(process, str(folder))
