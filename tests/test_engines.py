import os
import sys
from pathlib import Path

import pytest

from tests.engines import engine


def program(folder: Path, name: str, *, says: str = "", exit_code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({says!r})\nsys.exit({exit_code})\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("java", "exit_code", "name"),
    [
        ('openjdk version "17.0.15" 2025-04-15\n', 0, "DynamoDB Local (Java 17 "),
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
    program(tmp_path, "java", says='openjdk version "17.0.15" 2025-04-15\n')
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "no Maven" in engine()[0]
