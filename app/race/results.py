"""What a race came to: as a table, as JSON, as a picture."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from app.race.playlists import RaceImpossible
from app.race.race import Race


@contextmanager
def shown_progress(renames: int) -> Iterator[Callable[[], None]]:
    """A bar on the standard error, where that is a terminal; yields what moves it on by one."""
    columns = (TextColumn("racing"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=renames)
        yield lambda: progress.advance(bar)


def print_results(race: Race, *, as_json: bool) -> None:
    """To the standard output, as a table or as JSON."""
    results = race.results()
    if as_json:
        print(json.dumps(results, indent=2))
        return
    latency = results["latency_ms"]
    recovered = results["own_writes_recovered"]
    shares = results["acknowledged_by_writer"]
    table = Table("", "", "", title=f"{race.writers} writers on one playlist", show_header=False, title_justify="left")
    table.columns[1].justify = "right"
    for row in [
        ("acknowledged", results["acknowledged"], "renames that were answered with success"),
        ("of each writer", f"{min(shares)} to {max(shares)}", "of these, fewest and most"),
        ("lost", results["lost"], "acknowledged, but in no version of the playlist"),
        ("conflicts", results["conflicts"], "attempts that came too late and were told what is there"),
        ("false conflicts", results["false_conflicts"], "of these, written all the same"),
        ("refused", results["refused"], "attempts answered 429 or 503: not written"),
        ("unknown", results["unknown"], f"without an answer, or 504; {results['unknown_and_made']} were written"),
        ("recovered", "-" if recovered is None else recovered, "answers of DynamoDB that were lost, successes found"),
        (
            "versions",
            f"{race.first.version} to {race.last.version}",
            f"{results['unexplained_versions']} of them made by nobody in this race",
        ),
        ("rate", f"{results['acknowledged_per_second']:.0f}/s", "acknowledged"),
        (
            "latency",
            f"{latency['p50']:.0f} ms",
            f"median of an attempt; p95 {latency['p95']:.0f}, p99 {latency['p99']:.0f}",
        ),
    ]:
        table.add_row(*map(str, row), style="bold red" if row[0] in ("lost", "false conflicts") and row[1] else None)
    Console().print(table)


def require_matplotlib() -> None:
    """Raises RaceImpossible where it is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RaceImpossible(
            f"--plot needs matplotlib, which is not installed: {sys.executable} -m pip install matplotlib"
        ) from error


def plot(race: Race, file: Path) -> None:
    """Draw versions over time, a colour for each writer, and crosses where a write was lost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="seconds", ylabel="version", title=f"{race.writers} writers on one playlist")
    lost = {attempt.name for attempt in race.chain().lost}
    for writer in range(1, race.writers + 1):
        made = [
            (a.ended, a.made.version) for a in race.attempts if a.writer == writer and a.made and a.name not in lost
        ]
        axes.scatter([at for at, _ in made], [version for _, version in made], s=12, label=f"writer {writer}")
    gone = [(a.ended, a.made.version) for a in race.attempts if a.made and a.name in lost]
    if gone:
        axes.scatter(
            [at for at, _ in gone], [version for _, version in gone], s=24, marker="x", color="red", label="lost"
        )
    axes.legend(fontsize="small", ncols=2)
    try:
        figure.savefig(file, format="png", dpi=120)
    except OSError as error:
        raise RaceImpossible(f"cannot write {file}: {error.strerror}") from error
