"""Run programs that are clients of the service, and look at what they stored."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.engines import PROJECT

HERE = Path(__file__).parent
CONTRACT = PROJECT / ".venv-contract" / "bin"


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command that has to succeed; returns what it printed."""
    finished = subprocess.run(
        command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, timeout=240, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.strip()


def stored(service_url: str, playlist_token: str) -> tuple[str, list[str], int]:
    """Name, tracks and version of a playlist."""
    with urllib.request.urlopen(f"{service_url}/playlists/{playlist_token}", timeout=10) as answer:
        playlist: dict[str, Any] = json.load(answer)
    return playlist["playlist_name"], playlist["track_tokens"], playlist["playlist_version"]
