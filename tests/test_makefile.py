import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import PROJECT


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-f", str(PROJECT / "Makefile"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_environment_that_could_only_be_made_in_half_is_made_again(tmp_path: Path) -> None:
    for name in ("requirements/run.txt", "requirements/engine.txt", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    half = tmp_path / "half"
    half.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "if 'venv' in sys.argv:\n"
        "    pathlib.Path('.venv/bin').mkdir(parents=True)\n"
        "    pathlib.Path('.venv/bin/python').touch()\n"
        "    sys.exit('ensurepip is not available')\n"
    )
    half.chmod(0o755)

    failed = make(tmp_path, f"PYTHON={half}", "run")
    again = make(tmp_path, "--dry-run", "run")

    assert "ensurepip" in failed.stderr
    assert "-m venv .venv\n" in again.stdout


@pytest.mark.parametrize("command", ["run", "test"])
def test_installing_shows_what_is_installed(tmp_path: Path, command: str) -> None:
    for name in ("requirements/run.txt", "requirements/test.txt", "requirements/engine.txt", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    planned = make(tmp_path, "--dry-run", command)

    installs = [line for line in planned.stdout.splitlines() if " pip " in line]
    assert len(installs) >= 3
    assert not [line for line in installs if re.search(r"--quiet|\s-q", line)]


def test_help_lists_the_commands(tmp_path: Path) -> None:
    listed = make(tmp_path, "help")

    assert listed.stdout.splitlines()[0].split() == ["help", "this", "list"]
