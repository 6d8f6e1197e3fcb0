"""What the service does under more load than it can take: goodput and latency, with its bound on requests and without.

`python -m benchmarks.overload` (`make overload`) runs the service with one worker on the stub of DynamoDB (engine/),
which answers at once, so that the service is what is short. First the peak is found by clients that wait for
their answers; then requests are offered at a multiple of it by an open loop, which does not wait: they come when they
come, and latency counts from then (load/). Prints medians of the rounds, and draws docs/overload.png.

Service, stub and load need a core and a half: `sent late` says how late the load itself was, at its 99th percentile,
with requests that were due. Where that is not far below the p99 of the service, it is the load that was short.
"""

import argparse
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks.command import write_json
from benchmarks.measurements import send
from benchmarks.processes import SOURCES, BenchmarkFailed
from benchmarks.services import Service, running_service
from benchmarks.stub import Stub, running_stub

FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0)
CLOSED_LOOP_CLIENTS = 32
CONNECTIONS = 4_000
TRACKS = 20
# An answer later than this is none: its client has given up.
IN_TIME_SECONDS = 1.0
LIMITS = {"64 in flight": "64", "no bound": "1000000"}
CHART = SOURCES.parent / "docs" / "overload.png"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests of one stage; the peak is the answers a second that it was offered multiples of."""

    peak: float
    seconds: float
    requests: int
    answered: int
    in_time: int
    refused: int
    lost: int
    p50_ms: float
    p99_ms: float
    late_ms: float

    @property
    def goodput(self) -> float:
        """The answers that came in time, as a share of the peak."""
        return self.in_time / self.seconds / self.peak


Stages = dict[tuple[str, float], list[Outcome]]


def offered(service: Service, stub: Stub, factor: float, options: argparse.Namespace) -> Outcome:
    """Find the peak, then offer `factor` times as much. Four of five requests read a playlist, one renames it."""
    load = {"case": "mixed", "prefix": stub.seed(playlists=CONNECTIONS, tracks=TRACKS), "playlists": CONNECTIONS}
    peak, _ = send(service, **load, connections=CLOSED_LOOP_CLIENTS, duration=f"{options.peak_seconds}s")
    told, _ = send(
        service,
        **load,
        connections=CONNECTIONS,
        duration=f"{options.seconds}s",
        rate=peak["rate"] * factor,
        patience=f"{IN_TIME_SECONDS}s",
        # Beyond every name that was sent before.
        first=peak["sent"] * CLOSED_LOOP_CLIENTS,
    )
    return Outcome(peak=peak["rate"], seconds=options.seconds, **told)


def run(options: argparse.Namespace) -> Stages:
    stages: Stages = {(name, factor): [] for name in LIMITS for factor in FACTORS}
    with running_stub() as stub:
        for turn, factor, name in product(range(options.rounds), FACTORS, LIMITS):
            # On a service of its own, so that none inherits what another left behind; and beside a peak of its own,
            # because a machine is not equally fast all the time.
            with running_service("service", stub, PLAYLISTS_MAX_REQUESTS_IN_FLIGHT=LIMITS[name]) as service:
                outcome = offered(service, stub, factor, options)
            stages[name, factor].append(outcome)
            print(
                f"round {turn + 1}: {name}, {factor:g} x {outcome.peak:.0f}/s: {outcome.goodput:.0%}, "
                f"sent {outcome.late_ms:.1f} ms late",
                flush=True,
            )
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="that requests are offered at a stage")
    parser.add_argument("--peak-seconds", type=float, default=4, help="that the peak is measured before each stage")
    parser.add_argument("--chart", type=Path, default=CHART, help="file to draw")
    parser.add_argument("--json", type=Path, help="file to write all measurements to")
    options = parser.parse_args()
    try:
        stages = run(options)
    except BenchmarkFailed as failure:
        parser.exit(1, f"{failure}\n")
    print("\n| bound | offered | goodput | p50 | p99 | refused | lost | sent late |\n|---|---|---|---|---|---|---|---|")
    for (name, factor), outcomes in stages.items():
        refused, lost = (median(getattr(one, what) / one.requests for one in outcomes) for what in ("refused", "lost"))
        p50, p99, late = (median(getattr(one, what) for one in outcomes) for what in ("p50_ms", "p99_ms", "late_ms"))
        goodput = median(one.goodput for one in outcomes)
        print(
            f"| {name} | {factor:g} x | {goodput:.0%} | {p50:.0f} ms | {p99:.0f} ms | {refused:.0%} | {lost:.0%} "
            f"| {late:.1f} ms |"
        )
    draw(stages, options.chart)
    if options.json is not None:
        in_order = [
            asdict(one) | {"bound": name, "offered": factor, "round": turn}
            for (name, factor), outcomes in stages.items()
            for turn, one in enumerate(outcomes, 1)
        ]
        write_json(options.json, measurements=in_order)


def draw(stages: Stages, chart: Path) -> None:
    """Goodput and latency over what is offered, both in one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (goodput, latency) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in LIMITS:
        lines = [stages[name, factor] for factor in FACTORS]
        goodput.plot(FACTORS, [median(one.goodput for one in line) for line in lines], marker="o", label=name)
        latency.plot(FACTORS, [median(one.p99_ms for one in line) for line in lines], marker="o", label=name)
    goodput.set(
        title=f"Answered in {IN_TIME_SECONDS:g} s", xlabel="offered / peak", ylabel="goodput / peak", ylim=(0, 1.2)
    )
    latency.set(title="p99 of the successes", xlabel="offered / peak", ylabel="ms", yscale="log")
    for axes in (goodput, latency):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(chart, dpi=110)


if __name__ == "__main__":
    main()
