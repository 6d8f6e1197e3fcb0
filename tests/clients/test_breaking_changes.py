"""oasdiff finds what would break the clients of the last release (openapi/released.json)."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines import PROJECT

Document = dict[str, Any]
KEPT = PROJECT / "openapi" / "openapi.json"
ONE = "/playlists/{playlist_token}"


def compared(revision: Path) -> "subprocess.CompletedProcess[str]":
    """What `make contract` asks, of another document."""
    command = ["go", "tool", "oasdiff", "breaking", KEPT.name, str(revision), "--fail-on", "WARN"]
    return subprocess.run(
        [*command, "--severity-levels", "oasdiff-levels.txt"],
        cwd=KEPT.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def remove_a_member(document: Document) -> None:
    del document["components"]["schemas"]["Playlist"]["properties"]["updated_at"]
    document["components"]["schemas"]["Playlist"]["required"].remove("updated_at")


def remove_an_optional_member(document: Document) -> None:
    del document["components"]["schemas"]["ConflictProblem"]["properties"]["changed"]


def require_a_parameter(document: Document) -> None:
    document["paths"]["/playlists"]["get"]["parameters"].append(
        {"name": "owner", "in": "query", "required": True, "schema": {"type": "string"}}
    )


def require_a_precondition(document: Document) -> None:
    [if_match] = [header for header in document["paths"][ONE]["patch"]["parameters"] if header["name"] == "If-Match"]
    if_match["required"] = True


def require_a_member(document: Document) -> None:
    document["components"]["schemas"]["PlaylistCreation"]["required"].append("track_tokens")


def remove_an_operation(document: Document) -> None:
    del document["paths"][ONE]["delete"]


def remove_a_media_type(document: Document) -> None:
    del document["paths"][ONE]["patch"]["requestBody"]["content"]["application/json"]


def remove_a_header(document: Document) -> None:
    del document["paths"][ONE]["get"]["responses"]["200"]["headers"]["ETag"]


def rename_an_operation(document: Document) -> None:
    document["paths"][ONE]["get"]["operationId"] = "read_playlist"


@pytest.mark.parametrize(
    "change",
    [
        remove_a_member,
        remove_an_optional_member,
        require_a_parameter,
        require_a_precondition,
        require_a_member,
        remove_an_operation,
        remove_a_media_type,
        remove_a_header,
        rename_an_operation,
    ],
)
def test_change_that_breaks_clients_is_found(change: Callable[[Document], None], tmp_path: Path) -> None:
    document = json.loads(KEPT.read_text())
    change(document)
    revision = tmp_path / "openapi.json"
    revision.write_text(json.dumps(document))

    assert compared(revision).returncode == 1, change.__name__


def add_a_problem_code(document: Document) -> None:
    document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].append("new-code")


def add_an_optional_parameter(document: Document) -> None:
    document["paths"]["/playlists"]["get"]["parameters"].append(
        {"name": "owner", "in": "query", "schema": {"type": "string"}}
    )


def add_a_member(document: Document) -> None:
    document["components"]["schemas"]["Playlist"]["properties"]["cover"] = {"type": "string"}


@pytest.mark.parametrize("change", [add_a_problem_code, add_an_optional_parameter, add_a_member])
def test_change_that_adds_is_let_through(change: Callable[[Document], None], tmp_path: Path) -> None:
    document = json.loads(KEPT.read_text())
    change(document)
    revision = tmp_path / "openapi.json"
    revision.write_text(json.dumps(document))
    found = compared(revision)

    assert found.returncode == 0, found.stdout + found.stderr
