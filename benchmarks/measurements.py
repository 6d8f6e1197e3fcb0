"""A case measured on a service: rate and latency as its clients see them, and what CPU time a request takes."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import BenchmarkFailed, build_go, cpu_seconds
from benchmarks.services import Service
from benchmarks.stub import Stub

CASES = ("get", "get-304", "rename", "conflict", "append")
_APPLIED_BY = ("rename", "append")
_PLAYLISTS = 64
# Of all playlists together, where each request adds one: so many that they hardly grow while it is measured.
_TRACKS_APPENDED_TO = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for, by how many clients, and for how long."""

    case: str
    tracks: int
    seconds: float
    warmup_seconds: float = 1
    connections: int = 16
    # None for as many as the case is usually measured with.
    playlists: int | None = None
    at_random: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    service: str
    case: str
    tracks: int
    requests: int
    rate: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    cpu_us: float


def measure(service: Service, stub: Stub, load: Load) -> Measurement:
    """Put new playlists into the stub and send the load.

    Raises BenchmarkFailed if an answer has another status than the case is to get, or the stub has
    applied more or fewer writes than were acknowledged.
    """
    playlists = load.playlists or max(
        _PLAYLISTS, load.connections, _TRACKS_APPENDED_TO // load.tracks if load.case == "append" else 0
    )
    prefix = stub.seed(
        playlists=playlists,
        tracks=load.tracks,
        contended=load.case == "conflict",
        plain=service.writes_plain_items,
    )
    options = {
        "case": load.case,
        "prefix": prefix,
        "playlists": playlists,
        "connections": load.connections,
        "random": str(load.at_random).lower(),
        "warmup": f"{load.warmup_seconds}s",
        "duration": f"{load.seconds}s",
    }
    answered, cpu = send(service, **options)
    applied = stub.writes_applied()
    if applied != (answered["sent"] if load.case in _APPLIED_BY else 0):
        raise BenchmarkFailed(f"{service.name}: {answered['sent']} times {load.case}, {applied} writes applied")
    return Measurement(
        service=service.name,
        case=load.case,
        tracks=load.tracks,
        requests=answered["requests"],
        rate=answered["rate"],
        p50_ms=answered["p50_ms"],
        p90_ms=answered["p90_ms"],
        p99_ms=answered["p99_ms"],
        cpu_us=1e6 * cpu / answered["requests"],
    )


def send(service: Service, **options: Any) -> tuple[dict[str, Any], float]:
    """Run the load generator (load/) with these options; returns what it prints, and the CPU seconds of the service.

    Raises BenchmarkFailed if it does not like an answer.
    """
    program = build_go(".", "./load", "load")
    command: list[str | Path] = [
        program,
        "-address",
        service.address,
        *(f"-{name}={value}" for name, value in options.items()),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stdout is not None
        # The service has nothing to do now, until it is told to go on; nor has it after the end.
        if process.stdout.readline():
            before = cpu_seconds(service.process)
            process.stdin.write("\n")
            process.stdin.flush()
            line = process.stdout.readline()
            cpu = cpu_seconds(service.process) - before
    if process.returncode != 0:
        raise BenchmarkFailed(f"{service.name} failed at {options['case']}")
    return json.loads(line), cpu
