import json
import tomllib
from typing import Any

import httpx2
import pytest

from app.api.problem_types import PROBLEM_TYPES
from app.examples import add_examples
from app.main import create_app
from app.settings import load_settings
from app.store.attempts import Attempts
from app.store.playlists import PlaylistRepository
from tests.conftest import Interruptions
from tests.engines import PROJECT

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "openapi" / "openapi.json").read_text())


def request_examples() -> list[Any]:
    found = []
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                for name, example in content["examples"].items():
                    found.append(
                        pytest.param(method, path, media_type, example, id=f"{operation['operationId']} {name}")
                    )
    return found


async def test_kept_document_is_the_one_that_is_served(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/openapi.json")).json() == DOCUMENT, "run `make openapi` and look at the difference"


def test_document_does_not_depend_on_settings() -> None:
    narrowed = load_settings(auth="none", track_token_pattern="x/y", require_precondition=True)

    assert create_app(narrowed).openapi() == DOCUMENT


def test_operation_ids_are_stable() -> None:
    identifiers = {
        operation["operationId"] for operations in DOCUMENT["paths"].values() for operation in operations.values()
    }

    assert identifiers == {
        "create_playlist",
        "list_playlists",
        "head_playlists",
        "get_playlist",
        "head_playlist",
        "edit_playlist",
        "put_playlist",
        "delete_playlist",
        "get_liveness",
        "get_readiness",
        "get_metrics",
        "insert_tracks",
        "count_play",
        "get_plays",
        "head_plays",
    }


def test_version_is_the_one_of_the_package_and_stated_there_alone() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]

    assert DOCUMENT["info"]["version"] == version
    for source in [*(PROJECT / "app").rglob("*.py"), PROJECT / "docker-compose.yml", PROJECT / "Dockerfile"]:
        assert version not in source.read_text(), source


def test_document_lists_every_problem_code() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["Problem"]["properties"]["code"]["enum"] == list(PROBLEM_TYPES)
    assert "edit-conflict" in schemas["ConflictProblem"]["properties"]["code"]["enum"]
    assert "not-found" not in schemas["ConflictProblem"]["properties"]["code"]["enum"]


def test_there_are_examples_to_try() -> None:
    assert len(request_examples()) >= 5


@pytest.mark.parametrize(("method", "path", "media_type", "example"), request_examples())
async def test_every_example_gets_the_stated_answer_from_the_example_playlists(
    http: httpx2.AsyncClient,
    playlists: PlaylistRepository,
    method: str,
    path: str,
    media_type: str,
    example: dict[str, Any],
) -> None:
    await add_examples(playlists)
    stated = int(example["summary"].rpartition(": ")[2])

    response = await http.request(
        method,
        path.format(playlist_token="PLAYLIST_1"),
        content=json.dumps(example["value"]),
        headers={"Content-Type": media_type},
    )

    assert response.status_code == stated


async def test_examples_are_added_once(playlists: PlaylistRepository) -> None:
    await add_examples(playlists)
    first = await playlists.get("PLAYLIST_1")

    await add_examples(playlists)

    assert await playlists.get("PLAYLIST_1") == first
    assert first.playlist_version == 2


async def test_examples_are_finished_after_a_start_that_was_cut_off(
    playlists: PlaylistRepository, interruptions: Interruptions
) -> None:
    def cut_off_at_the_next() -> None:
        interruptions.before_write = cut_off

    def cut_off() -> None:
        raise RuntimeError

    interruptions.before_write = cut_off_at_the_next
    with pytest.raises(RuntimeError):
        await add_examples(PlaylistRepository(interruptions, Attempts(load_settings())))

    await add_examples(playlists)

    example = await playlists.get("PLAYLIST_1")
    assert (example.playlist_name, example.playlist_version) == ("Morning Run", 2)
