"""Clients that openapi-generator makes with its defaults create, rename, and get through a conflict.

Each program does the same: it leaves the tracks out of a rename, reads the current state from a 409 as a typed value,
and retries with the entity-tag from it.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.programs import CONTRACT, HERE, run, stored
from tests.engines import PROJECT

JARS = PROJECT / ".venv-contract" / "java"
TSC = PROJECT / "openapi" / "node_modules" / ".bin" / "tsc"


def generate(generator: str, output: Path, *options: str) -> None:
    document = PROJECT / "openapi" / "openapi.json"
    run(
        CONTRACT / "openapi-generator-cli",
        *("generate", "--input-spec", document, "--generator-name", generator, "--output", output),
        *options,
    )


def java(folder: Path, service_url: str) -> str:
    for line in (HERE / "java" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((JARS / name).read_bytes()).hexdigest() == digest, name
    generate("java", folder / "client", "--library", "native")
    sources = [*(folder / "client" / "src" / "main").rglob("*.java"), HERE / "java" / "Rename.java"]
    run("javac", "-d", folder / "classes", "-cp", f"{JARS}/*", *sources)
    return run("java", "-cp", f"{folder / 'classes'}:{JARS}/*", "Rename", service_url)


def go(folder: Path, service_url: str) -> str:
    shutil.copytree(HERE / "go", folder, dirs_exist_ok=True)
    generate("go", folder / "openapi")
    # A package of the program's module, which has the hashes; the generated tests need more modules.
    (folder / "openapi" / "go.mod").unlink()
    (folder / "openapi" / "go.sum").unlink()
    shutil.rmtree(folder / "openapi" / "test")
    run("go", "vet", "./...", cwd=folder)
    return run("go", "run", ".", service_url, cwd=folder)


def python(folder: Path, service_url: str) -> str:
    generate("python", folder)
    return run(CONTRACT / "python", HERE / "rename.py", service_url, PYTHONPATH=str(folder))


def typescript(folder: Path, service_url: str) -> str:
    generate("typescript-fetch", folder / "client")
    shutil.copy(HERE / "typescript" / "rename.ts", folder)
    (folder / "package.json").write_text("{}")
    modules = ("--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    run(TSC, "--strict", *modules, "--outDir", folder / "out", folder / "rename.ts")
    return run("node", folder / "out" / "rename.js", service_url)


@pytest.mark.parametrize("client", [java, go, python, typescript])
def test_generated_client_renames_without_touching_the_tracks_and_gets_through_a_conflict(
    client: Callable[[Path, str], str], service_url: str, tmp_path: Path
) -> None:
    playlist_token = client(tmp_path, service_url)

    assert stored(service_url, playlist_token) == ("Third", ["A/1", "A/2"], 3)
