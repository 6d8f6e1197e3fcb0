"""Programs that a benchmark runs: built once into .benchmarks/, started, looked at through /proc, and ended."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent
BUILT = SOURCES.parent / ".benchmarks"
_START_SECONDS = 30
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkFailed(Exception):
    """What is measured is not what it is meant to be."""


@cache
def build_go(folder: str, package: str, name: str) -> Path:
    """Build a Go program of a module in benchmarks/."""
    program = BUILT / name
    subprocess.run(["go", "build", "-o", program, package], cwd=SOURCES / folder, check=True)  # noqa: S603, S607
    return program


@cache
def build_node(folder: str) -> Path:
    """Install a Node program's packages beside a copy of it; returns the copy."""
    copy = BUILT / Path(folder).name
    shutil.copytree(SOURCES / folder, copy, dirs_exist_ok=True)
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--ignore-scripts",
        "--prefer-offline",
    ]
    subprocess.run(command, cwd=copy, check=True)  # noqa: S603
    return copy


@contextmanager
def running(
    command: Sequence[str | Path], *, port: int, environment: Mapping[str, str], folder: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program for as long as the block lasts; yields once it listens on a port of 127.0.0.1."""
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            if not _listens_in_time(process, port):
                output.seek(0)
                raise BenchmarkFailed(f"{command[0]} does not listen: {output.read().decode(errors='replace')}")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def cpu_seconds(root: int) -> float:
    """CPU time, user and system, of a process and all below it."""
    return sum(sum(map(int, _stat(process)[11:13])) for process in _tree(root)) / _TICKS_A_SECOND


def resident_bytes(root: int) -> int:
    """The resident set sizes of a process and all below it."""
    return sum(int(_stat(process)[21]) for process in _tree(root)) * os.sysconf("SC_PAGE_SIZE")


def _tree(root: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int(_stat(int(folder.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    tree = [root]
    for process in tree:
        tree += (child for child, parent in parents.items() if parent == process)
    return tree


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on; the second may have spaces in it."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _listens_in_time(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            time.sleep(0.05)
    return False
