"""The OpenAPI document: what the routes declare, and what FastAPI does not say of them by itself."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.cursors import CURSOR_MAX_LENGTH, CURSOR_PATTERN, cursor_after
from app.api.links import LINKS, LINKS_OF_CONFLICT, LINKS_OF_PAGE, LINKS_OF_PLAYLIST
from app.api.problem_types import PROBLEM_TYPES
from app.api.problems import MEDIA_TYPE as PROBLEM_MEDIA_TYPE
from app.api.schemas import (
    JSON_PATCH_OPERATIONS,
    PAGE_LIMIT,
    PAGE_LIMIT_DEFAULT,
    ConflictProblem,
    InvalidRequestProblem,
    NewTracks,
    Playlist,
    PlaylistCreation,
    PlaylistJsonPatch,
    PlaylistMergePatch,
    PlaylistPage,
    PlaylistReplacement,
    Problem,
    TooLargeProblem,
)
from app.domain.playlist import SUMMARY_MEMBERS

TITLE = "Playlist service"
_DESCRIPTION = """\
Playlists on a shared DynamoDB table, with optimistic locking: two writers of one playlist never
silently overwrite each other.

Every answer with a playlist has an `ETag` that names its state. Send it back as `If-Match`, and
your change is made only if that state is still the current one. If it is not, the answer is a
conflict that carries the current playlist and its entity-tag: merge, and retry with that.

Requests for playlists carry an access token with the scope that the operation lists; the scope
`playlists:admin` holds the others and lets every playlist be changed, which else only its owner may.
A service that was started with `PLAYLISTS_AUTH=none`, as `playlists dev` is, asks for no token.
"""
_LOCAL_SERVER = {"url": "http://127.0.0.1:8080", "description": "The service that `make run` starts"}
_REFERENCES = "#/components/schemas/{model}"
_PROBLEMS: tuple[type[Problem], ...] = (Problem, ConflictProblem, TooLargeProblem, InvalidRequestProblem)
_MODELS: tuple[type[BaseModel], ...] = (
    PlaylistCreation,
    PlaylistReplacement,
    PlaylistMergePatch,
    PlaylistJsonPatch,
    NewTracks,
    Playlist,
    PlaylistPage,
    *_PROBLEMS,
)
# Problem codes that operations have in common.
OF_ONE = ("malformed-request", "playlist-not-found")
WITH_BODY = (
    "malformed-request",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
    "playlist-too-large",
    "idempotency-key-reused",
    "read-only-region",
    "outcome-unknown",
    "request-timeout",
)
CONDITIONAL = (
    "malformed-request",
    "edit-conflict",
    "precondition-failed",
    "precondition-required",
    "read-only-region",
    "outcome-unknown",
)
# Problems that any operation on playlists may end in, and those that come of authorization.
_EVERYWHERE = ("internal-error", "throttled", "storage-unavailable", "overloaded")
_GUARDED = ("unauthorized", "forbidden", "authentication-unavailable")

_REQUEST_ID = {
    "description": "The request's id: yours, if you sent a fit one.",
    "required": True,
    "schema": {"type": "string"},
}


def _required(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "required": True, "schema": {"type": kind}}


_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {
        "description": "The strong entity-tag of this state: `{version}-{newest write}-{checksum}`, in quotes.",
        "schema": {"type": "string"},
        "example": '"3-q83vEjRWeJCrze8S-t0gWmSkN4hZ5EOAX"',
    },
    "Link": {
        "description": 'The next page, as `rel="next"` (RFC 8288); not there on the last one.',
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "There if the write had been made under this Idempotency-Key before.",
        "schema": {"const": "true"},
    },
    "Cache-Control": _required(
        "`private, no-cache` of an answer that is to be revalidated before use, else `no-store`."
    ),
    "Location": _required("The path of the new playlist."),
    "Retry-After": _required("Seconds to wait before a retry.", "integer"),
    "WWW-Authenticate": _required("The scheme, and what is wrong with the token if there was one (RFC 6750)."),
    "Accept-Patch": _required("Media types that PATCH takes (RFC 5789)."),
    "Accept": _required("Media types that the method takes."),
}
_EXAMPLE_PLAYLIST = {
    "playlist_token": "PLAYLIST_1",
    "playlist_name": "Road Trip",
    "playlist_version": 3,
    "track_tokens": ["ALBUM_1/TRACK_1", "ALBUM_2/TRACK_7"],
    "track_count": 2,
    "playlist_owner": "anonymous",
    "created_at": "2026-11-24T09:00:00.000Z",
    "updated_at": "2026-11-24T09:30:00.000Z",
}
_EXAMPLE_CURSOR = cursor_after("PLAYLIST_1", caller="anonymous")


@dataclass(frozen=True, slots=True)
class Example:
    """A request body that gets the stated answer from a service with the example playlists."""

    summary: str
    status: int
    value: Any


def request_body(models: Mapping[str, type[BaseModel]], examples: Mapping[str, Sequence[Example]]) -> dict[str, Any]:
    """An operation's request body: the schema and the examples of each media type."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                media_type: {
                    "schema": _reference(model),
                    "examples": {
                        example.summary.replace(" ", "-"): {
                            "summary": f"{example.summary}: {example.status}",
                            "value": example.value,
                        }
                        for example in examples[media_type]
                    },
                }
                for media_type, model in models.items()
            },
        }
    }


def playlist_answer(description: str, *, created: bool = False, repeatable: bool = False) -> dict[str, Any]:
    """A response with a playlist; `repeatable` is that of a write that takes an Idempotency-Key."""
    names = ["ETag", *["Location"] * created, *["Idempotency-Replayed"] * repeatable]
    return {
        "description": description,
        "headers": {name: _HEADERS[name] for name in names},
        "content": {"application/json": {"schema": _reference(Playlist), "example": _EXAMPLE_PLAYLIST}},
        "links": LINKS_OF_PLAYLIST,
    }


def json_answer(description: str, model: type[BaseModel]) -> dict[str, Any]:
    """A response with another model."""
    return {"description": description, "model": model}


def page_parameters() -> dict[str, Any]:
    """The query parameters of an operation that lists."""
    limit = {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": PAGE_LIMIT_DEFAULT}
    cursor = {"type": "string", "minLength": 1, "maxLength": CURSOR_MAX_LENGTH, "pattern": CURSOR_PATTERN}
    return {
        "parameters": [
            {
                "name": "limit",
                "in": "query",
                "description": "How many playlists to answer with at most.",
                "schema": {**limit, "examples": [20]},
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "The `next_cursor` of the page before; leave it out for the first page.",
                # Examples of the schema, because the docs page would send one of the parameter.
                "schema": {**cursor, "examples": [_EXAMPLE_CURSOR]},
            },
        ]
    }


def page_answer(description: str) -> dict[str, Any]:
    """A response with a part of a list of playlists."""
    item = {name: value for name, value in _EXAMPLE_PLAYLIST.items() if name in SUMMARY_MEMBERS}
    link = {**_HEADERS["Link"], "example": f'</playlists?limit=1&cursor={_EXAMPLE_CURSOR}>; rel="next"'}
    return {
        "description": description,
        "headers": {"Link": link},
        "content": {
            "application/json": {
                "schema": _reference(PlaylistPage),
                "example": {"items": [item], "next_cursor": _EXAMPLE_CURSOR},
            }
        },
        "links": LINKS_OF_PAGE,
    }


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The responses, by status, for these problem codes and for those that may come wherever playlists are."""
    return problems_alone(*codes, *_GUARDED, *_EVERYWHERE)


def problems_alone(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The responses, by status, for these problem codes.

    All problems of one status have one schema: generators make no useful type of a choice between two.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    kinds = [PROBLEM_TYPES[code] for code in dict.fromkeys(codes)]
    for kind in sorted(kinds, key=lambda kind: kind.status):
        response = responses.setdefault(
            kind.status,
            {"description": "", "content": {PROBLEM_MEDIA_TYPE: {"schema": _reference(kind.schema), "examples": {}}}},
        )
        response["description"] = f"{response['description']} `{kind.code}`: {kind.title}.".strip()
        content = response["content"][PROBLEM_MEDIA_TYPE]
        content["examples"][kind.code] = {"summary": kind.title, "value": _example_problem(kind.code)}
        # An unwritable item cannot be merged with.
        if kind.schema is ConflictProblem and kind.code != "unwritable-item":
            response["links"] = LINKS_OF_CONFLICT
        if kind.status == 503:
            response["headers"] = {"Retry-After": _HEADERS["Retry-After"]}
        if kind.status == 401:
            response["headers"] = {"WWW-Authenticate": _HEADERS["WWW-Authenticate"]}
        if kind.status == 403:
            # Of the scope only: no other token of the same kind helps an owner's rule.
            response["headers"] = {"WWW-Authenticate": {**_HEADERS["WWW-Authenticate"], "required": False}}
    return responses


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The whole document, as served at /openapi.json."""
    document = get_openapi(
        title=TITLE,
        version=version("playlist-service"),
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": "/", "description": "This service"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[
            {"name": "playlists", "description": "Reading and writing playlists."},
            {"name": "operations", "description": "For whoever runs the service."},
        ],
    )
    _, definitions = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REFERENCES)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definitions["$defs"])
    schemas.update(JSON_PATCH_OPERATIONS)
    document["components"]["links"] = LINKS
    document["security"] = []  # None, unless an operation says so.
    for model in _PROBLEMS:
        codes = [kind.code for kind in PROBLEM_TYPES.values() if issubclass(kind.schema, model)]
        schemas[model.__name__]["properties"]["code"]["enum"] = codes
    for generated in ("HTTPValidationError", "ValidationError"):
        schemas.pop(generated, None)
    for schema in schemas.values():
        for name, member in schema.get("properties", {}).items():
            schema["properties"][name] = _without_null_alternative(member)
    for path in document["paths"].values():
        for method, operation in path.items():
            _complete(method, operation)
    return document


def document_as_file(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it is kept and printed: with the address of `make run` as the server.

    The served one says `/`, which is relative to where it was read from. A file was read from nowhere, so those who
    import it, or make a client of it, would get requests without a host.
    """
    return {**document, "servers": [_LOCAL_SERVER]}


def _without_null_alternative(member: dict[str, Any]) -> dict[str, Any]:
    """The same schema in a form that more generators understand.

    A type that may be null is one list of types, not an `anyOf`, in which some lose the format. There is no
    `default: null`: the member is left out then, and that is what `required` says.
    """
    member = {name: value for name, value in member.items() if (name, value) != ("default", None)}
    match member.get("anyOf"):
        case [{"type": str(kind)} as alternative, {"type": "null"}]:
            del member["anyOf"]
            return {**alternative, **member, "type": [kind, "null"]}
    return member


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"] = copy.deepcopy(operation["responses"])
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, response in responses.items():
        headers = response.setdefault("headers", {})
        headers |= {"X-Request-ID": _REQUEST_ID, "Cache-Control": _HEADERS["Cache-Control"]}
        if status == "304":
            headers["ETag"] = _HEADERS["ETag"]
        problem = response.get("content", {}).get(PROBLEM_MEDIA_TYPE, {})
        for code, example in problem.get("examples", {}).items():
            example["value"] = _example_problem(code)  # FastAPI takes the nulls out of examples.
        if status == "415":
            name = "Accept-Patch" if method == "patch" else "Accept"
            headers[name] = _HEADERS[name]
        if method == "head":
            response.pop("content", None)
            response.pop("links", None)


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCES.format(model=model.__name__)}


def _example_problem(code: str) -> dict[str, Any]:
    kind = PROBLEM_TYPES[code]
    example: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.explanation,
        "instance": "/playlists/PLAYLIST_1",
        "code": code,
        "request_id": "2f6b1c9e8d7a4f50b3c2d1e0f9a8b7c6",
    }
    if kind.schema is ConflictProblem:
        example |= {
            "expected_version": 2,
            "expected_etag": '"2-Zm9vYmFyYmF6cXV4-f2ZrA9qQ1x7LwBvD"',
            "current": _EXAMPLE_PLAYLIST,
            "current_etag": '"3-q83vEjRWeJCrze8S-t0gWmSkN4hZ5EOAX"',
        }
        if code == "patch-not-applicable":
            example |= {"expected_version": None, "expected_etag": None}
        if code == "edit-conflict":
            example["changed"] = ["playlist_name", "playlist_version", "updated_at"]
    if kind.schema is TooLargeProblem:
        example |= {"size": 412_345, "limit": 409_600}
    if kind.schema is InvalidRequestProblem:
        fault = {"pointer": "/playlist_name", "detail": "must not be blank"}
        example["errors"] = [{"pointer": "", "detail": kind.explanation} if code == "idempotency-key-reused" else fault]
    return example
