"""The service and its peers, to be measured on the stub of DynamoDB: each as one process of one thread of Python,
JavaScript or (GOMAXPROCS=1) Go.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.store.embedded import free_port, point_sdk_at
from benchmarks.processes import SOURCES, build_go, build_node, running
from benchmarks.stub import TABLE, Stub
from tests.servers import running_playlists

# Variables that each of our services differs in.
OURS: dict[str, dict[str, str]] = {"service": {}, "service-standard": {"PLAYLISTS_CLIENT": "standard"}}
PEERS = ("go", "node", "python")


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    address: str
    process: int

    @property
    def writes_plain_items(self) -> bool:
        """Whether its items have the attributes alone that every program on the table writes."""
        return self.name in PEERS


@contextmanager
def running_service(name: str, stub: Stub, *arguments: str, **variables: str) -> Iterator[Service]:
    """Run one of OURS or PEERS on the stub; ours takes arguments of `playlists serve` and settings."""
    environment = _environment(stub)
    if name in OURS:
        environment |= OURS[name] | variables
        with running_playlists("serve", *arguments, environment=environment) as served:
            yield Service(name, urlsplit(served.url).netloc, served.process.pid)
        return
    port = free_port()
    command, folder = _peer(name, port)
    with running(command, port=port, environment=environment, folder=folder) as process:
        yield Service(name, f"127.0.0.1:{port}", process.pid)


def _environment(stub: Stub) -> dict[str, str]:
    environment = dict(os.environ)
    point_sdk_at(stub.endpoint_url, environment)
    environment |= {
        # botocore's name of it.
        "AWS_DEFAULT_REGION": environment["AWS_REGION"],
        "TABLE": TABLE,
        "GOMAXPROCS": "1",
        "PLAYLISTS_TABLE_NAME": TABLE,
        "PLAYLISTS_AUTH": "none",
        "PLAYLISTS_SKIP_TABLE_CHECK": "true",
        "PLAYLISTS_DRAIN_SECONDS": "0",
    }
    if stub.authority is not None:
        for variable in ("AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"):
            environment[variable] = str(stub.authority)
    return environment


def _peer(name: str, port: int) -> tuple[list[str | Path], Path | None]:
    """The command that starts a peer, and the folder to start it in if it needs one."""
    if name == "go":
        return [build_go("peers/go", ".", "peer-go"), str(port)], None
    if name == "node":
        return ["node", "app.js", str(port)], build_node("peers/node")
    uvicorn = [sys.executable, "-m", "uvicorn", "app:app", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return [*uvicorn, "--port", str(port)], SOURCES / "peers" / "python"
