"""Clients that are not ours get through a conflict with what the answers and the OpenAPI document tell them."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.clients.programs import CONTRACT, HERE, run, stored
from tests.engines import PROJECT

JSON_PATCH = "application/json-patch+json"


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """The folder with the package of a client that openapi-python-client made from the document."""
    document = json.loads((PROJECT / "openapi" / "openapi.json").read_text())
    # Of a body with several media types it asks `isinstance(body, list[...])`, which Python refuses, for each request.
    del document["paths"]["/playlists/{playlist_token}"]["patch"]["requestBody"]["content"][JSON_PATCH]
    source = tmp_path / "openapi.json"
    source.write_text(json.dumps(document))
    # It formats what it makes with the ruff that it finds on the path.
    run(
        CONTRACT / "openapi-python-client",
        *("generate", "--fail-on-warning", "--meta", "none"),
        *("--path", source, "--output-path", tmp_path / "playlist_client"),
        PATH=f"{CONTRACT}:{os.environ['PATH']}",
    )
    return tmp_path


def test_two_writers_with_a_generated_client_both_get_their_changes_in(service_url: str, generated: Path) -> None:
    run(CONTRACT / "python", HERE / "merge_and_retry.py", service_url, PYTHONPATH=str(generated))

    assert stored(service_url, "p1") == ("Second", ["A/1", "A/2", "A/3"], 4)


def test_generated_client_types_what_a_conflict_tells(generated: Path) -> None:
    run(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--follow-imports", "silent"),
        *("--python-executable", CONTRACT / "python", "--cache-dir", generated / "cache"),
        HERE / "merge_and_retry.py",
        MYPYPATH=str(generated),
    )


def test_two_writers_with_fetch_both_get_their_changes_in(service_url: str) -> None:
    run("node", HERE / "merge_and_retry.mjs", service_url)

    assert stored(service_url, "p1") == ("Second", ["A/1", "A/2", "A/3"], 4)
