"""What the service costs as what it deals with grows, and that its memory does not.

`python -m benchmarks.growth` (`make growth`) runs the service on the stub of DynamoDB (engine/) over tracks of a
playlist, playlists in the table, workers and clients, in rounds whose medians count; and sends it a million requests.
Prints tables, and draws docs/cost-by-tracks.png, docs/growth.png and docs/memory.png.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.command import names_of, write_json
from benchmarks.measurements import Load, Measurement, measure, send
from benchmarks.processes import BenchmarkFailed, resident_bytes
from benchmarks.services import running_service
from benchmarks.stub import Stub, running_stub

DOCS = Path(__file__).parent.parent / "docs"
REQUESTS = ("get", "rename")
TRACKS = (1, 10, 100, 1_000, 10_000)
PLAYLISTS = (10_000, 100_000, 1_000_000)
WORKERS = (1, 2)
CONNECTIONS = (1, 4, 16, 64, 256)
USUAL_TRACKS = 20
MEMORY_SAMPLES = 50
MEMORY_PLAYLISTS = 10_000

# By what grows, and by what is asked for; one measurement a round.
Rounds = dict[tuple[int, str], list[Measurement]]


@dataclass(frozen=True, slots=True)
class Growth:
    """Something that grows, and how the service is run and asked at each size of it."""

    title: str
    unit: str
    sizes: Sequence[int]
    load: Callable[[int], dict[str, Any]]
    arguments: Callable[[int], Sequence[str]] = lambda _: ()
    variables: Callable[[int], dict[str, str]] = lambda _: {}


GROWTHS = {
    "tracks": Growth("Tracks of a playlist", "tracks", TRACKS, lambda size: {"tracks": size}),
    "playlists": Growth(
        "Playlists in the table",
        "playlists",
        PLAYLISTS,
        lambda size: {"playlists": size, "at_random": True},
    ),
    "workers": Growth(
        "Worker processes",
        "workers",
        WORKERS,
        lambda _: {},
        arguments=lambda size: ("--workers", str(size)),
    ),
    "connections": Growth(
        "Clients",
        "clients",
        CONNECTIONS,
        lambda size: {"connections": size},
        # Without a bound, because those above it are refused, which takes next to no time.
        variables=lambda _: {"PLAYLISTS_MAX_REQUESTS_IN_FLIGHT": "1000000"},
    ),
}


def grow(stub: Stub, growth: Growth, options: argparse.Namespace) -> Rounds:
    rounds: Rounds = {}
    for turn in range(options.rounds):
        for size in growth.sizes:
            with running_service("service", stub, *growth.arguments(size), **growth.variables(size)) as service:
                for case in REQUESTS:
                    load = {"tracks": USUAL_TRACKS, **growth.load(size)}
                    measured = measure(service, stub, Load(case, seconds=options.seconds, **load))
                    rounds.setdefault((size, case), []).append(measured)
                    print(
                        f"round {turn + 1}: {size} {growth.unit}, {case}: {measured.cpu_us:.0f} µs, "
                        f"{measured.rate:.0f}/s",
                        flush=True,
                    )
    return rounds


def grow_old(stub: Stub, requests: int) -> list[tuple[int, float]]:
    """Requests so far, four of five reads and one a rename, and the service's resident set size in MiB."""
    share = requests // MEMORY_SAMPLES
    with running_service("service", stub) as service:
        prefix = stub.seed(playlists=MEMORY_PLAYLISTS, tracks=USUAL_TRACKS)
        samples = [(0, resident_bytes(service.process) / 2**20)]
        for sample in range(MEMORY_SAMPLES):
            answered, _ = send(
                service,
                case="mixed",
                prefix=prefix,
                playlists=MEMORY_PLAYLISTS,
                random="true",
                requests=share,
                # Beyond every name that was sent before.
                first=sample * share,
            )
            sent = samples[-1][0] + answered["requests"]
            samples.append((sent, resident_bytes(service.process) / 2**20))
            print(f"{sent} requests: {samples[-1][1]:.1f} MiB", flush=True)
    return samples


def middle(rounds: Rounds, growth: Growth, case: str, figure: str) -> list[float]:
    """The medians of a figure at each size."""
    return [median(getattr(one, figure) for one in rounds[size, case]) for size in growth.sizes]


def table(rounds: Rounds, growth: Growth) -> Iterable[str]:
    yield f"\n| {growth.unit} | request | CPU | rate | p50 | p99 |\n|---|---|---|---|---|---|"
    for case in REQUESTS:
        figures = [middle(rounds, growth, case, figure) for figure in ("cpu_us", "rate", "p50_ms", "p99_ms")]
        for size, cpu, rate, p50, p99 in zip(growth.sizes, *figures, strict=True):
            yield f"| {size} | {case} | {cpu:.0f} µs | {rate:.0f}/s | {p50:.1f} ms | {p99:.1f} ms |"


def draw(grown: dict[str, Rounds], samples: list[tuple[int, float]]) -> None:
    """The pictures of what was measured, into docs/."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if "tracks" in grown:
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        _lines(axes, grown["tracks"], GROWTHS["tracks"], "cpu_us", "CPU time of a request, µs")
        axes.set(xscale="log", yscale="log")
        figure.savefig(DOCS / "cost-by-tracks.png", dpi=110)
    if {"playlists", "workers", "connections"} <= set(grown):
        figure, panels = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
        (playlists, workers), (rates, latencies) = panels
        _lines(playlists, grown["playlists"], GROWTHS["playlists"], "cpu_us", "CPU time of a request, µs")
        playlists.set_xscale("log")
        _lines(workers, grown["workers"], GROWTHS["workers"], "rate", "requests a second")
        workers.set_xticks(WORKERS)
        _lines(rates, grown["connections"], GROWTHS["connections"], "rate", "requests a second")
        _lines(latencies, grown["connections"], GROWTHS["connections"], "p50_ms", "latency, ms", label="{}, p50")
        _lines(
            latencies,
            grown["connections"],
            GROWTHS["connections"],
            "p99_ms",
            "latency, ms",
            label="{}, p99",
            style="--",
        )
        latencies.set(yscale="log")
        for axes in (rates, latencies):
            axes.set_xscale("log", base=2)
            axes.set_xticks(CONNECTIONS, labels=[str(size) for size in CONNECTIONS])
        for axes in (playlists, workers, rates):
            _begin_at_zero(axes)
        figure.savefig(DOCS / "growth.png", dpi=110)
    if samples:
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        axes.plot([requests / 1_000 for requests, _ in samples], [size for _, size in samples])
        axes.set(xlabel="thousand requests", ylabel="resident set size, MiB", title="Memory of a process")
        _begin_at_zero(axes)
        axes.grid(alpha=0.3)
        figure.savefig(DOCS / "memory.png", dpi=110)


def _lines(
    axes: Any, rounds: Rounds, growth: Growth, figure: str, name: str, *, label: str = "{}", style: str = "-"
) -> None:
    for case, colour in zip(REQUESTS, ("C0", "C1"), strict=True):
        values = middle(rounds, growth, case, figure)
        axes.plot(growth.sizes, values, style, color=colour, marker="o", label=label.format(case))
    axes.set(title=growth.title, xlabel=growth.unit, ylabel=name)
    axes.legend()
    axes.grid(alpha=0.3)


def _begin_at_zero(axes: Any) -> None:
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=names_of(*GROWTHS, "memory"), default=",".join((*GROWTHS, "memory")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="that each is measured in a round")
    parser.add_argument("--requests", type=int, default=1_000_000, help="that memory is measured over")
    parser.add_argument("--json", type=Path, help="file to write all that was measured to")
    options = parser.parse_args()
    try:
        with running_stub() as stub:
            grown = {part: grow(stub, GROWTHS[part], options) for part in options.parts if part in GROWTHS}
            samples = grow_old(stub, options.requests) if "memory" in options.parts else []
    except BenchmarkFailed as failure:
        parser.exit(1, f"{failure}\n")
    for part, rounds in grown.items():
        print(*table(rounds, GROWTHS[part]), sep="\n")
    draw(grown, samples)
    if options.json is not None:
        write_json(
            options.json,
            memory=samples,
            **{
                part: [{"size": size, **asdict(one)} for (size, _), measured in rounds.items() for one in measured]
                for part, rounds in grown.items()
            },
        )


if __name__ == "__main__":
    main()
