import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import PROJECT, engine

JAVA_17 = 'openjdk version "17.0.15" 2025-04-15\n'


@pytest.fixture(autouse=True)
def _no_engine_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINE", raising=False)


def program(folder: Path, name: str, *, says: str = "", exit_code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({says!r})\nsys.exit({exit_code})\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("java", "exit_code", "name"),
    [
        (JAVA_17, 0, "DynamoDB Local (Java 17 "),
        ('openjdk version "25" 2025-09-16\n', 0, "DynamoDB Local (Java 25 "),
        ('openjdk version "11.0.2" 2019-01-15\n', 0, "ministack (Java 11,"),
        ('java version "1.8.0_301"\n', 0, "ministack (Java 8,"),
        ("Unable to locate a Java Runtime.\n", 1, "ministack (no Java,"),
    ],
)
def test_engine_is_dynamodb_local_only_where_java_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, java: str, exit_code: int, name: str
) -> None:
    program(tmp_path, "java", says=java, exit_code=exit_code)
    program(tmp_path, "mvn")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert engine()[0].startswith(name)


def test_engine_is_ministack_without_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "java", says=JAVA_17)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "no Maven" in engine()[0]


def test_engine_is_the_embedded_one_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "java", says=JAVA_17)
    program(tmp_path, "mvn")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ENGINE", "embedded")

    assert engine()[0] == "ministack (ENGINE=embedded)"


def test_engine_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "embeded")

    with pytest.raises(ValueError, match="ENGINE=embeded"):
        engine()


def test_dynamodb_local_is_installed_once_before_the_workers_start(tmp_path: Path) -> None:
    """In a copy of the project where it is not installed, with a Maven that fails when it runs twice."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program(programs, "java", says=JAVA_17)
    maven = programs / "mvn"
    maven.write_text("#!/bin/sh\nmkdir .dynamodb-local\n")
    maven.chmod(0o755)
    copy = tmp_path / "tests"
    copy.mkdir()
    for helper in [path for path in (PROJECT / "tests").glob("*.py") if not path.name.startswith("test_")]:
        shutil.copy(helper, copy)
    shutil.copytree(PROJECT / "tests" / "dynamodb_local", copy / "dynamodb_local")
    (copy / "test_installed.py").write_text(
        "import pytest\n"
        "from tests.engines import install_dynamodb_local\n"
        "@pytest.mark.parametrize('number', range(8))\n"
        "def test_installed(number):\n"
        "    install_dynamodb_local()\n"
    )

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "tests/test_installed.py"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("Installing DynamoDB Local") == 1
