"""What a request costs, in CPU time, beside services that were written for another stack.

`python -m benchmarks.cost` (`make cost`) runs the service and its peers (peers/) on a stub of DynamoDB (engine/), and
measures them in turns, in rounds, with as many clients as keep one process busy (load/). A ratio is the median of the
ratios within each round, because a machine is not equally fast all the time.

The peers answer GET and PATCH alone: an answer 304 is held against their GET, an append against their rename. All
items are as the service that is measured writes them, so those of the peers have five attributes and ours nine.
"""

import argparse
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.command import names_of, numbers, write_json
from benchmarks.measurements import CASES, Load, Measurement, measure
from benchmarks.processes import BenchmarkFailed
from benchmarks.services import OURS, PEERS, running_service
from benchmarks.stub import running_stub

# What the peers' answer to another request is held against.
HELD_AGAINST = {"get": "get", "get-304": "get", "rename": "rename", "conflict": "conflict", "append": "rename"}
REFERENCE = "go"

Rounds = dict[tuple[int, str, str], list[Measurement]]


def run(options: argparse.Namespace) -> Rounds:
    """Measurements by tracks, case and service, one a round."""
    rounds: Rounds = {}
    with ExitStack() as processes:
        stub = processes.enter_context(running_stub(tls=options.tls))
        services = [processes.enter_context(running_service(name, stub)) for name in options.services]
        for turn in range(options.rounds):
            for tracks in options.tracks:
                for case in options.cases:
                    # Nobody is always the first.
                    first = turn % len(services)
                    for service in (*services[first:], *services[:first]):
                        if service.name in PEERS and HELD_AGAINST[case] != case:
                            continue
                        load = Load(case, tracks, options.seconds, options.warmup, options.connections)
                        measured = measure(service, stub, load)
                        rounds.setdefault((tracks, case, service.name), []).append(measured)
                        print(
                            f"round {turn + 1}: {tracks} tracks, {case}, {service.name}: "
                            f"{measured.cpu_us:.0f} µs, {measured.rate:.0f}/s",
                            flush=True,
                        )
    return rounds


def ratio(rounds: Rounds, tracks: int, case: str, service: str) -> float | None:
    """CPU time per request as a multiple of the reference's; None where it was not measured."""
    reference = rounds.get((tracks, HELD_AGAINST[case], REFERENCE))
    if reference is None:
        return None
    own = rounds[tracks, case, service]
    return median(one.cpu_us / other.cpu_us for one, other in zip(own, reference, strict=True))


def table(rounds: Rounds) -> Iterable[str]:
    yield "| tracks | request | service | CPU | / Go's | rate | p50 | p99 |"
    yield "|---|---|---|---|---|---|---|---|"
    for (tracks, case, service), measured in sorted(rounds.items(), key=lambda one: _place(*one[0])):
        cpu, rate, p50, p99 = (
            median(getattr(one, name) for one in measured) for name in ("cpu_us", "rate", "p50_ms", "p99_ms")
        )
        multiple = ratio(rounds, tracks, case, service)
        shown = "" if multiple is None else f"{multiple:.2f}"
        yield f"| {tracks} | {case} | {service} | {cpu:.0f} µs | {shown} | {rate:.0f}/s | {p50:.1f} ms | {p99:.1f} ms |"


def _place(tracks: int, case: str, service: str) -> tuple[int, int, int]:
    return tracks, CASES.index(case), (*OURS, *PEERS).index(service)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=numbers, default="20,200,2000,10000")
    parser.add_argument("--cases", type=names_of(*CASES), default=",".join(CASES))
    parser.add_argument("--services", type=names_of(*OURS, *PEERS), default=",".join(("service", *PEERS)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="that each is measured in a round")
    parser.add_argument("--warmup", type=float, default=2, help="seconds before that")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--tls", action="store_true", help="between the services and the stub, verified")
    parser.add_argument("--json", type=Path, help="file to write all measurements to")
    options = parser.parse_args()
    try:
        rounds = run(options)
    except BenchmarkFailed as failure:
        parser.exit(1, f"{failure}\n")
    print("", *table(rounds), sep="\n")
    if options.json is not None:
        in_order = [
            asdict(one) | {"round": turn} for one_case in rounds.values() for turn, one in enumerate(one_case, 1)
        ]
        write_json(options.json, measurements=in_order)


if __name__ == "__main__":
    main()
