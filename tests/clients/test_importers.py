"""API clients for people, into which the kept OpenAPI document is imported as a file."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tests.clients.programs import HERE, run
from tests.engines import PROJECT

DOCUMENT = PROJECT / "openapi" / "openapi.json"
_LEFT_TO_THE_USER = {"if-match", "if-none-match", "idempotency-key"}


@cache
def imported_requests() -> Mapping[str, list[dict[str, Any]]]:
    imported: dict[str, list[dict[str, Any]]] = json.loads(run("node", HERE / "imported_requests.mjs", DOCUMENT))
    return imported


@pytest.mark.parametrize("importer", ["postman", "bruno"])
def test_imported_requests_are_all_operations_at_the_address_of_make_run(importer: str) -> None:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    expected = {
        (method.upper(), f"http://127.0.0.1:8080{path.replace('{playlist_token}', ':playlist_token')}")
        for path, operations in paths.items()
        for method in operations
    }

    assert {(request["method"], request["url"]) for request in imported_requests()[importer]} == expected


@pytest.mark.parametrize("importer", ["postman", "bruno"])
def test_imported_requests_send_no_precondition_and_no_key_until_somebody_switches_them_on(importer: str) -> None:
    for request in imported_requests()[importer]:
        assert not {name.lower() for name in request["headers"]} & _LEFT_TO_THE_USER, request
