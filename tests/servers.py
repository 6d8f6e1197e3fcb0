"""The `playlists` command in processes of its own."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import URLError

from app.store.embedded import free_port

PLAYLISTS = Path(sys.executable).parent / "playlists"
_START_SECONDS = 30


def run_playlists(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with this environment instead of ours if one is given.

    What would serve gets a free port, unless the arguments name one.
    """
    if arguments[0] in ("dev", "serve") and "--port" not in arguments:
        arguments += ("--port", str(free_port()))
    return subprocess.run(
        [PLAYLISTS, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    process: "subprocess.Popen[bytes]"
    _output: IO[bytes]

    def output(self) -> str:
        """All that it has printed so far."""
        # pread, because the process writes at the offset that a seek here would move.
        descriptor = self._output.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def stop(self) -> str:
        """End it as an operator does; returns all that it has printed."""
        self.process.terminate()
        self.process.wait(15)
        return self.output()

    def workers(self) -> list[int]:
        """The process ids of the workers of `serve --workers`."""
        # -ww, or a command is cut to the width of somebody's terminal.
        command = ["ps", "-ww", "-A", "-o", "pid=,ppid=,args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
        processes = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
        return [
            int(number)
            for number, parent, command in processes
            if int(parent) == self.process.pid and "spawn_main" in command
        ]


@contextmanager
def running_playlists(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run a serving command on a free port; yields once it is ready."""
    port = free_port()
    # A file, because nobody reads a pipe, and one that is full stops the service.
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            [PLAYLISTS, *arguments, "--port", str(port)], env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        served = Served(f"http://127.0.0.1:{port}", process, output)
        try:
            _wait_until_ready(served)
            yield served
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


def service_links(service: str = "PLAYLISTS", port: str = "8080_TCP") -> dict[str, str]:
    """What Kubernetes sets in every pod for a Service with one port, named `http`."""
    number, protocol = port.split("_")
    url = f"{protocol.lower()}://10.0.0.1:{number}"
    return {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": number,
        f"{service}_SERVICE_PORT_HTTP": number,
        f"{service}_PORT": url,
        f"{service}_PORT_{port}": url,
        f"{service}_PORT_{port}_PROTO": protocol.lower(),
        f"{service}_PORT_{port}_PORT": number,
        f"{service}_PORT_{port}_ADDR": "10.0.0.1",
    }


def _wait_until_ready(served: Served) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if served.process.poll() is not None:
            raise RuntimeError(served.output())
        try:
            with urllib.request.urlopen(f"{served.url}/readyz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError("not ready in time")
