"""The DynamoDB engine that the suite runs on: DynamoDB Local where Java 17 and Maven are, else ministack.

`make test ENGINE=embedded`, or pytest with that variable in its environment, takes ministack there too.
"""

import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from app.store.embedded import free_port, running_engine

PROJECT = Path(__file__).parent.parent
_POM = Path(__file__).parent / "dynamodb_local" / "pom.xml"
_INSTALLED = PROJECT / ".dynamodb-local"
_JAVA_NEEDED = 17
_START_SECONDS = 60


def engine() -> tuple[str, AbstractContextManager[str]]:
    """The engine's name and why it is this one, and a context that runs it and yields its endpoint URL.

    Raises ValueError if the environment asks for an engine that does not exist.
    """
    wanted = os.environ.get("ENGINE")
    if wanted == "embedded":
        return "ministack (ENGINE=embedded)", running_engine()
    if wanted:
        raise ValueError(f"ENGINE={wanted} is no engine: set it to `embedded`, or leave it out")
    java = _java_version()
    if java is None or java < _JAVA_NEEDED:
        found = "no Java" if java is None else f"Java {java}"
        return f"ministack ({found}, and DynamoDB Local needs {_JAVA_NEEDED} or newer)", running_engine()
    if not shutil.which("mvn"):
        return f"ministack (Java {java}, but no Maven to fetch DynamoDB Local with)", running_engine()
    return f"DynamoDB Local (Java {java} and Maven are here)", DynamoDBLocal().running()


def is_dynamodb_local() -> bool:
    """Whether the engine is DynamoDB Local: what only that one has cannot be tested on the other."""
    return engine()[0].startswith("DynamoDB Local")


def _java_version() -> int | None:
    """None also where `java` is only the stand-in that macOS has for it."""
    if not shutil.which("java"):
        return None
    stated = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(?:1\.)?(\d+)', stated.stderr)
    return int(version[1]) if version and stated.returncode == 0 else None


class DynamoDBLocal:
    """DynamoDB Local on a port of its own: on files in `folder`, which outlive its process, or in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self._storage = ["-inMemory"] if folder is None else ["-dbPath", str(folder)]
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and return once it answers."""
        install_dynamodb_local()
        # A suite is over before more of the compiler, or threads of its own for collecting garbage, pay.
        frugal = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        java = ["java", *frugal, "-cp", f"{_INSTALLED}/*"]
        options = [*self._storage, "-sharedDb", "-disableTelemetry", "-port", str(self._port)]
        self._process = subprocess.Popen(
            [*java, "software.amazon.dynamodb.services.local.main.ServerRunner", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_until_it_answers(self._process, self._port)

    def kill(self) -> None:
        """End it as kill -9 does; it may be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def running(self) -> Iterator[str]:
        try:
            self.start()
            yield self.url
        finally:
            self.kill()


def install_dynamodb_local() -> None:
    """Fetch it by Maven, unless it is there. Not safe in two processes at once: call it before starting others."""
    complete = _INSTALLED / "complete"
    if complete.exists() and complete.stat().st_mtime >= _POM.stat().st_mtime:
        return
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={_INSTALLED}"]
    print(f"Installing DynamoDB Local into {_INSTALLED.name}", flush=True)
    subprocess.run(["mvn", "-q", "-B", "-f", str(_POM), *goal], check=True)
    complete.touch()


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"DynamoDB Local ended at its start (exit code {process.returncode})")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"DynamoDB Local did not answer within {_START_SECONDS} seconds")
