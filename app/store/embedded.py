"""The embedded DynamoDB engine: ministack, in an environment of its own, on a free loopback port.

It pins another botocore than the service's client, so it cannot be installed beside it; `make run`
makes its environment next to the service's.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

_START_SECONDS = 30
_STOP_SECONDS = 5


class EngineUnavailable(Exception):
    """One line: why the engine could not be started, and what to do."""


@contextmanager
def running_engine(command: Path | None = None) -> Iterator[str]:
    """Run the engine for as long as the block lasts; yields its endpoint URL.

    `command` is the engine's program, by default the one in `.venv-engine` next to this
    environment. The state is in memory and gone with the engine. Raises EngineUnavailable.
    """
    command = command or Path(sys.prefix).parent / ".venv-engine" / "bin" / "ministack"
    if not command.exists():
        raise EngineUnavailable(
            "the embedded engine is not installed: use `make run`, or set AWS_ENDPOINT_URL_DYNAMODB "
            "to a DynamoDB that is running"
        )
    port = free_port()
    environment = os.environ | {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SERVICES": "dynamodb"}
    # A session of its own, so that Ctrl-C in the terminal lets the service finish before its engine goes.
    process = subprocess.Popen(  # noqa: S603
        [command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        endpoint_url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(process, endpoint_url)
        yield endpoint_url
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def point_sdk_at(endpoint_url: str, environment: MutableMapping[str, str]) -> None:
    """Let the SDK talk to a local engine in this environment, whatever was configured for real AWS."""
    for name in [name for name in environment if name.startswith("AWS_")]:
        del environment[name]
    environment.update(
        {
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint_url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    )
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1")))


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], endpoint_url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EngineUnavailable(f"the embedded engine ended at its start (exit code {process.returncode})")
        try:
            with opener.open(f"{endpoint_url}/_ministack/health", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise EngineUnavailable(f"the embedded engine did not answer within {_START_SECONDS} seconds")
