"""The `playlists` command in processes of its own."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from app.store.embedded import free_port

PLAYLISTS = Path(sys.executable).parent / "playlists"
_START_SECONDS = 30


def run_playlists(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with this environment instead of ours if one is given."""
    return subprocess.run(
        [PLAYLISTS, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def running_playlists(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run a serving command on a free port; yields its URL once it is ready."""
    port = free_port()
    with subprocess.Popen(
        [PLAYLISTS, *arguments, "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            _wait_until_ready(process, port)
            yield f"http://127.0.0.1:{port}", process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def without(*names: str, **variables: str) -> dict[str, str]:
    """This environment less some variables, and with others."""
    return {name: value for name, value in os.environ.items() if name not in names} | variables


def _wait_until_ready(process: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(process.stdout.read() if process.stdout else "ended at its start")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError("not ready in time")
