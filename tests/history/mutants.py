"""Seeded mistakes in the service, each of which the proofs have to find.

`python -m tests.history.mutants` makes each mistake in a copy of `app/`, runs the forced
interleavings and the load with the history checker on the copy, and says which of them found it.
Exits with 1 if either missed one. Name mutants to try only those.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.history.load import TOO_LONG, build_checker

PROJECT = Path(__file__).parent.parent.parent
_SEEDS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake: in `module`, `text` is replaced."""

    name: str
    module: str
    text: str
    replacement: str
    # Of all others, an answer has to be false: that it was late may be the machine's doing.
    shows_as_late: bool = False


_PUT = """\
            partial(self._table.put_item, successor.item, condition),
"""
MUTANTS = (
    Mutant(
        "condition dropped",
        "store/items.py",
        'return Condition(f"{version} AND {newest}", values or None)',
        'return Condition("attribute_exists(partition_key)")',
    ),
    Mutant(
        "condition on the version only",
        "store/items.py",
        'return Condition(f"{version} AND {newest}", values or None)',
        'return Condition(version, {name: values[name] for name in values if name == ":read_version"} or None)',
    ),
    Mutant(
        "unconditional delete",
        "store/writes.py",
        "playlist_token, condition = stored.playlist.playlist_token, stored.still_current()",
        "playlist_token = stored.playlist.playlist_token\n"
        '        condition = type(NO_SUCH_ITEM)("attribute_exists(partition_key)")',
    ),
    Mutant(
        "own token not looked for",
        "store/writes.py",
        "if met is not None and write.is_among(met.recent_writes):",
        "if False:",
    ),
    Mutant("window without bound", "store/items.py", "most=RECENT_WRITES_KEPT", "most=10_000"),
    Mutant("503 after an applied attempt", "store/attempts.py", "raise unknown or failure", "raise failure"),
    Mutant(
        "409 where the outcome is unproven",
        "store/writes.py",
        "if uncertain and (met is None or read is None or not met.rules_out_write_from(read)):",
        "if False:",
    ),
    Mutant(
        "retry under a new token",
        "store/writes.py",
        _PUT,
        """\
            lambda: self._table.put_item(
                {**successor.item, "recent_writes": __import__("app.store.values").store.values.string_list(
                    (LogicalWrite.unkeyed().token, *successor.recent_writes[1:])
                )},
                condition,
            ),
""",
    ),
    Mutant(
        "write starts from an earlier read",
        "store/playlists.py",
        """\
        read = await self._load(playlist_token, deadline)
        attempt = 1
""",
        """\
        latest = await self._load(playlist_token, deadline)
        earlier = self.__dict__.setdefault("earlier", {})
        read, earlier[playlist_token] = earlier.get(playlist_token, latest), latest
        attempt = 1
""",
    ),
    Mutant(
        "precondition judged on an earlier read",
        "store/playlists.py",
        "            preconditions.check(read.playlist)\n            content",
        """\
            earlier = self.__dict__.setdefault("earlier", {})
            preconditions.check(earlier.get(playlist_token, read).playlist)
            earlier[playlist_token] = read
            content""",
    ),
    Mutant("eventually consistent read", "store/dynamodb.py", "ConsistentRead=True", "ConsistentRead=False"),
    Mutant(
        "write after the deadline",
        "store/attempts.py",
        "return Deadline(work=end - self._deadline_seconds * _SHARE_FOR_SETTLING, end=end)",
        "return Deadline(work=end + 60, end=end + 60)",
        shows_as_late=True,
    ),
)


def main() -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.name in sys.argv[1:] or len(sys.argv) == 1]
    if not chosen:
        sys.exit(f"no such mutant: choose of {[mutant.name for mutant in MUTANTS]}")
    with tempfile.TemporaryDirectory() as folder:
        checker = build_checker(Path(folder))
        if any(_findings(None, Path(folder), checker)):
            sys.exit("the proofs fail where there is no mistake: they would find any")
        missed = [mutant.name for mutant in chosen if not all(_findings(mutant, Path(folder), checker))]
    print(f"{len(chosen)} mutants, {len(missed)} missed", *missed, sep="\n  ")
    sys.exit(1 if missed else 0)


def _findings(mutant: Mutant | None, folder: Path, checker: Path) -> tuple[str, str]:
    """What interleavings and history find in the mutant, or in the service as it is; empty for nothing."""
    shutil.copytree(PROJECT / "app", folder / "app", dirs_exist_ok=True)
    if mutant is not None:
        module = folder / "app" / mutant.module
        module.write_text(module.read_text().replace(mutant.text, mutant.replacement))
    # Before the installed package, in this process's children and in theirs.
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{PROJECT}"}
    by_interleaving = _by_interleaving(environment)
    by_history = _by_history(environment, checker, shows_as_late=mutant is not None and mutant.shows_as_late)
    print(mutant.name if mutant else "no mistake")
    print("  interleavings:", by_interleaving or "nothing found")
    print("  history:", by_history or "nothing found", flush=True)
    return by_interleaving, by_history


def _by_interleaving(environment: dict[str, str]) -> str:
    """The first test that failed."""
    suites = (
        "tests/faults/test_outcomes.py",
        "tests/store/test_playlists.py",
        "tests/store/test_items.py",
        "tests/api/test_items_of_other_programs.py",
    )
    # "append": pytest would put the folder of the true app/ before the mutant's.
    options = ("-qx", "-p", "no:cacheprovider", "--import-mode=append")
    finished = _python(environment, "-m", "pytest", *options, *suites)
    failed = [line for line in finished.stdout.splitlines() if line.startswith("FAILED ")]
    if finished.returncode not in (0, 1):
        raise RuntimeError(finished.stdout + finished.stderr)
    return failed[0].partition("::")[2].partition(" - ")[0] if failed else ""


def _by_history(environment: dict[str, str], checker: Path, *, shows_as_late: bool) -> str:
    """The first false answer, and the seed that brought it about."""
    for seed in _SEEDS:
        load = ("-m", "tests.history.load", "--seeds", seed, "--requests", "4000", "--checker", str(checker))
        finished = _python(environment, *load)
        lines = [line.removeprefix("broken: ") for line in finished.stdout.splitlines() if line.startswith("broken: ")]
        if any(line.startswith("the service failed") for line in lines):
            raise RuntimeError(f"the mutant cannot even run: {lines}")
        decided = [line for line in lines if not line.startswith("not decided")]
        if found := [line for line in decided if line.startswith(TOO_LONG) == shows_as_late]:
            return f"{found[0]} (seed {seed})"
        if finished.returncode and not lines:
            raise RuntimeError(finished.stdout + finished.stderr)
    return ""


def _python(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        # -P: the working directory, with the true app/, is not looked in first.
        [sys.executable, "-P", *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


if __name__ == "__main__":
    main()
