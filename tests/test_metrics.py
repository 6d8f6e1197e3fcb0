import os
import signal
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics, Served
from app.store.ledger import Call, Ledger
from app.store.playlists import PlaylistRepository
from tests.engines import PROJECT
from tests.servers import running_playlists, without


def names_and_labels() -> dict[str, tuple[str, ...]]:
    """The service's own metrics, as a query names them, and their labels."""
    own = [metric for metric in vars(Metrics()).values() if isinstance(metric, MetricWrapperBase)]
    named = [(next(iter(metric.describe())).name, metric) for metric in own]
    return {f"{name}{'_total' * isinstance(metric, Counter)}": metric._labelnames for name, metric in named}


def sum_of(exposition: str, name: str, **labels: str) -> float:
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def wait_until(happened: Callable[[], bool]) -> None:
    # A worker that is killed while uvicorn waits for its sign of life is missed 30 seconds later.
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_request_is_counted_once_however_many_come_between_two_looks() -> None:
    metrics, number = Metrics(), 0
    for between in (1, 63, 64, 65, 200):
        for _ in range(between):
            metrics.count_begun()
            ledger = Ledger(calls=[Call("GetItem", "ok", 0.002, 0.5), Call("PutItem", "ok", 0.003, 1.0)])
            metrics.count(Served("PATCH", "/p", 200, None, is_replay=False, seconds=0.01, ledger=ledger))
        metrics.count_begun()
        number += between

        seen = metrics.exposition().decode()

        assert sum_of(seen, "playlists_http_requests_total", method="PATCH", route="/p", status="200") == number
        assert sum_of(seen, "playlists_http_request_duration_seconds_count", route="/p") == number
        assert sum_of(seen, "playlists_dynamodb_calls_total", operation="PutItem", outcome="ok") == number
        assert sum_of(seen, "playlists_dynamodb_call_duration_seconds_count", operation="GetItem") == number
        assert sum_of(seen, "playlists_dynamodb_capacity_units_total") == 1.5 * number
        assert sum_of(seen, "playlists_http_requests_in_flight") == 1
        metrics.count(Served("GET", "/metrics", 200, None, is_replay=False, seconds=0.01, ledger=Ledger()))


def test_durations_are_counted_at_the_bounds_that_they_do_not_exceed() -> None:
    metrics, durations = Metrics(), [0.0005, 0.001, 0.0011, 0.3, 5.0, 5.1, 60.0]
    for seconds in durations:
        metrics.count_begun()
        ledger = Ledger(calls=[Call("GetItem", "ok", seconds, 0.5)])
        metrics.count(Served("GET", "/p", 200, None, is_replay=False, seconds=seconds, ledger=ledger))

    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [sample for family in families for sample in family.samples]

    for name in ("playlists_http_request_duration_seconds", "playlists_dynamodb_call_duration_seconds"):
        buckets = {float(found.labels["le"]): found.value for found in samples if found.name == f"{name}_bucket"}
        assert buckets == {bound: sum(seconds <= bound for seconds in durations) for bound in buckets}
        assert buckets[0.001] == 2
        assert [found.value for found in samples if found.name == f"{name}_sum"] == [pytest.approx(sum(durations))]


def test_workers_count_together_also_what_those_counted_that_were_killed(
    playlists: PlaylistRepository, table_name: str
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    with running_playlists("serve", "--workers", "2", environment=environment) as served:

        def metrics() -> str:
            # A connection of its own, for any of the workers to take.
            return httpx2.get(f"{served.url}/metrics", timeout=30).text

        for _ in range(40):
            httpx2.get(f"{served.url}/playlists/p1")
        before = served.workers()
        address = urlsplit(served.url)
        with socket.create_connection((address.hostname, address.port)) as unfinished:
            unfinished.sendall(b"PUT /playlists/p1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n")
            unfinished.sendall(b"Content-Type: application/json\r\n\r\n")
            wait_until(lambda: sum_of(metrics(), "playlists_http_requests_in_flight") == 2)
            for worker in before:
                os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(served.workers()) == 2 and not set(served.workers()) & set(before))

        after = [metrics() for _ in range(10)]

    for exposition in after:
        assert sum_of(exposition, "playlists_http_requests_total", status="404") == 40
        assert sum_of(exposition, "playlists_dynamodb_calls_total", operation="GetItem") >= 40
        assert sum_of(exposition, "playlists_http_requests_in_flight") == 1


def test_a_service_of_one_process_tells_its_memory_and_cpu(playlists: PlaylistRepository, table_name: str) -> None:
    with running_playlists("serve", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        exposition = httpx2.get(f"{served.url}/metrics").text

    assert sum_of(exposition, "process_resident_memory_bytes") > 0
    assert sum_of(exposition, "process_cpu_seconds_total") > 0


def test_readme_lists_every_metric_with_its_labels() -> None:
    rows = [line.split("|") for line in (PROJECT / "README.md").read_text().splitlines()]
    listed = {row[1].strip(" `"): row[2].replace("`", "").strip() for row in rows if "`playlists_" in "".join(row[1:2])}

    assert listed == {name: ", ".join(labels) for name, labels in names_and_labels().items()}
