import json
import re
import tomllib
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from app.api.openapi import document_as_file
from app.api.problem_types import PROBLEM_TYPES
from app.examples import add_examples
from app.main import create_app
from app.settings import load_settings
from app.store.attempts import Attempts
from app.store.playlists import PlaylistRepository
from tests.api.by_operation import DOCUMENT, operations, send
from tests.conftest import Interruptions
from tests.engines import PROJECT


def request_examples() -> list[Any]:
    return [
        pytest.param(method, path, media_type, example, id=f"{identifier} {name}")
        for identifier, (method, path, operation) in operations().items()
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
        for name, example in content["examples"].items()
    ]


def response_examples() -> list[Any]:
    return [
        pytest.param(content["schema"], value, id=f"{identifier} {status} {name}")
        for identifier, (_, _, operation) in operations().items()
        for status, response in operation["responses"].items()
        for content in response.get("content", {}).values()
        for name, example in (content.get("examples") or {"": {"value": content.get("example")}}).items()
        if (value := example["value"]) is not None
    ]


def parameter_examples() -> list[Any]:
    return [
        pytest.param(identifier, parameter, str(value), id=f"{identifier} {parameter['name']} {value:.10}")
        for identifier, (_, _, operation) in operations().items()
        for parameter in operation.get("parameters", [])
        for schema in [parameter["schema"]]
        for value in map(
            str,
            # Those of headers stand in the description, or importers switch the headers on.
            re.findall("`(.+?)`", parameter["description"])
            if parameter["in"] == "header"
            else schema.get("examples", [schema[name] for name in ("example",) if name in schema]),
        )
    ]


def members() -> list[dict[str, Any]]:
    """The members of all schemas."""
    return [
        member
        for schema in DOCUMENT["components"]["schemas"].values()
        for member in schema.get("properties", {}).values()
    ]


def linked(link: dict[str, Any], answer: httpx2.Response) -> tuple[str, dict[str, str], bytes | None]:
    """The operation, parameters and body of the request that a link makes of an answer."""

    def value_of(expression: str) -> str:
        if header := expression.removeprefix("$response.header.") * expression.startswith("$response.header."):
            return answer.headers[header]
        value = answer.json()
        for step in expression.removeprefix("$response.body#/").split("/"):
            value = value[int(step) if step.isdecimal() else step]
        return str(value)

    resolved = DOCUMENT["components"]["links"][link["$ref"].rpartition("/")[2]]
    parameters = {name: value_of(expression) for name, expression in resolved["parameters"].items()}
    return resolved["operationId"], parameters, answer.content if "requestBody" in resolved else None


async def test_kept_document_is_the_one_that_is_served_but_for_the_server(http: httpx2.AsyncClient) -> None:
    served = (await http.get("/openapi.json")).json()

    assert document_as_file(served) == DOCUMENT, "run `make openapi` and look at the difference"


async def test_served_document_sends_the_docs_page_to_its_own_origin(http: httpx2.AsyncClient) -> None:
    served = (await http.get("/openapi.json")).json()

    assert [server["url"] for server in served["servers"]] == ["/"]


def test_kept_document_has_a_host_for_those_who_import_the_file() -> None:
    assert [server["url"] for server in DOCUMENT["servers"]] == ["http://127.0.0.1:8080"]


def test_no_member_has_a_default_of_null() -> None:
    assert [member for member in members() if member.get("default", "none") is None] == []


def test_nullable_integer_keeps_its_format_in_one_schema() -> None:
    nullable = [member for member in members() if member.get("format") == "int64"]

    assert {json.dumps(member["type"]) for member in nullable} == {'"integer"', '["integer", "null"]'}
    assert [
        member for member in members() if {"type": "null"} in member.get("anyOf", []) and "$ref" not in str(member)
    ] == []


@pytest.mark.parametrize("name", ["PlaylistMergePatch", "PlaylistReplacement"])
def test_generators_do_not_initialise_a_list_that_replaces_the_stored_one(name: str) -> None:
    replaced = DOCUMENT["components"]["schemas"][name]["properties"].values()
    arrays = [member for member in replaced if "array" in member.get("type", [])]

    # Generators leave an array unset only if it may be null.
    assert arrays
    assert all(member["type"] == ["array", "null"] for member in arrays)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_null_is_no_list_of_tracks_to_the_document_and_to_the_service(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, method: str
) -> None:
    await add_examples(playlists)
    body = {"playlist_name": "Mine", "track_tokens": None}
    schema = {"PATCH": "PlaylistMergePatch", "PUT": "PlaylistReplacement"}[method]
    validator = Draft202012Validator(
        {**DOCUMENT["components"]["schemas"][schema], "components": DOCUMENT["components"]}
    )

    response = await http.request(method, "/playlists/PLAYLIST_1", json=body)

    assert not validator.is_valid(body)
    assert validator.is_valid({**body, "track_tokens": []})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/track_tokens"


@pytest.mark.parametrize("prefix", ["New", "Nullable"])
def test_no_schema_is_named_like_what_go_generators_make_of_another(prefix: str) -> None:
    names = set(DOCUMENT["components"]["schemas"])

    assert not names & {f"{prefix}{name}" for name in names}


def test_problems_of_one_status_have_one_schema() -> None:
    schemas = {(kind.status, kind.schema) for kind in PROBLEM_TYPES.values()}

    assert len(schemas) == len({status for status, _ in schemas})


def test_document_does_not_depend_on_settings() -> None:
    narrowed = load_settings(auth="none", track_token_pattern="x/y", require_precondition=True)

    assert document_as_file(create_app(narrowed).openapi()) == DOCUMENT


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


def test_every_header_has_an_example_in_its_description_and_none_that_importers_switch_on() -> None:
    headers = [
        parameter
        for _, _, operation in operations().values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "header"
    ]

    assert {header["name"] for header in headers} == {"If-Match", "If-None-Match", "Idempotency-Key"}
    for header in headers:
        assert "`" in header["description"]
        assert not {"example", "examples", "default"} & (header.keys() | header["schema"].keys())


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


async def test_operations_answer_as_stated_when_the_docs_page_is_executed_from_top_to_bottom(
    http: httpx2.AsyncClient, playlists: PlaylistRepository
) -> None:
    await add_examples(playlists)
    answered, stated = [], []

    for identifier, (method, path, operation) in operations().items():
        # The page sends the one `example` of a parameter; several `examples` are only shown.
        schemas = {parameter["name"]: parameter["schema"] for parameter in operation.get("parameters", [])}
        url = path.format(**{name: schema["example"] for name, schema in schemas.items() if "example" in schema})
        success = next(status for status in operation["responses"] if status.startswith("2"))
        requests: list[tuple[str | None, dict[str, str], str]] = [
            (json.dumps(example["value"]), {"Content-Type": media_type}, example["summary"].rpartition(": ")[2])
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
            for example in content["examples"].values()
        ]
        for body, headers, status in requests or [(None, {}, success)]:
            response = await http.request(method, url, content=body, headers=headers)
            answered.append((identifier, body, response.status_code))
            stated.append((identifier, body, int(status)))

    assert answered == stated


@pytest.mark.parametrize(("schema", "example"), response_examples())
def test_every_example_of_an_answer_fits_its_schema(schema: dict[str, Any], example: Any) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)


@pytest.mark.parametrize(("operation_id", "parameter", "value"), parameter_examples())
async def test_every_example_of_a_parameter_is_understood(
    http: httpx2.AsyncClient,
    playlists: PlaylistRepository,
    operation_id: str,
    parameter: dict[str, Any],
    value: str,
) -> None:
    await add_examples(playlists)

    response = await send(http, operation_id, {parameter["name"]: value})

    # What is not current is a precondition that fails, and understood.
    expected = {200, 201, 204, 304, 412} if parameter["in"] == "header" else {200, 201, 204}
    assert response.status_code in expected


@pytest.mark.parametrize("name", DOCUMENT["paths"]["/playlists/{playlist_token}"]["get"]["responses"]["200"]["links"])
async def test_link_from_a_playlist_leads_to_what_is_done_with_that_state(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, name: str
) -> None:
    await add_examples(playlists)
    _, _, reading = operations()["get_playlist"]
    read = await http.get("/playlists/PLAYLIST_1")

    response = await send(http, *linked(reading["responses"]["200"]["links"][name], read))

    assert response.status_code == {"read_if_changed": 304, "delete": 204}.get(name, 200)


@pytest.mark.parametrize("status", ["409", "412"])
@pytest.mark.parametrize("name", DOCUMENT["paths"]["/playlists/{playlist_token}"]["patch"]["responses"]["409"]["links"])
async def test_link_from_a_conflict_leads_to_what_is_done_with_the_current_state(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, name: str, status: str
) -> None:
    await add_examples(playlists)
    _, _, editing = operations()["edit_playlist"]
    conflict = await http.patch(
        "/playlists/PLAYLIST_1",
        json={"playlist_name": "Mine", **({"playlist_version": 1} if status == "409" else {})},
        headers={} if status == "409" else {"If-Match": '"1"'},
    )

    response = await send(http, *linked(editing["responses"][status]["links"][name], conflict))

    assert conflict.status_code == int(status)
    assert response.status_code == (204 if name == "retry_delete" else 200)


@pytest.mark.parametrize("name", DOCUMENT["paths"]["/playlists"]["get"]["responses"]["200"]["links"])
async def test_link_from_a_page_leads_on(http: httpx2.AsyncClient, playlists: PlaylistRepository, name: str) -> None:
    await add_examples(playlists)
    _, _, listing = operations()["list_playlists"]
    page = await http.get("/playlists", params={"limit": 1})

    response = await send(http, *linked(listing["responses"]["200"]["links"][name], page))

    assert response.status_code == 200
    assert "PLAYLIST_1" in page.text
    assert ("PLAYLIST_2" in response.text) == (name == "next_page")


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
