"""Problem details (RFC 9457): the code of every error, and the handlers that answer with them."""

import logging
from collections.abc import Mapping
from http import HTTPMethod
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from app.api.fields import AmbiguousField
from app.api.problem_types import PROBLEM_TYPES
from app.api.request_id import request_id
from app.api.schemas import BODY_LIMIT, fault_detail
from app.domain.errors import (
    Conflict,
    DuplicateTrack,
    EditConflict,
    Forbidden,
    IdempotencyKeyReused,
    InvalidChange,
    InvalidPlaylistToken,
    KeyedCountUnavailable,
    ListingUnavailable,
    OutcomeUnknown,
    PatchNotApplicable,
    PlaylistError,
    PlaylistExists,
    PlaylistNotFound,
    PlaylistTooLarge,
    PreconditionFailed,
    PreconditionRequired,
    ReadOnlyRegion,
    StorageUnavailable,
    TableNotReady,
    Throttled,
    UnwritableItem,
    VersionConflict,
)

MEDIA_TYPE = "application/problem+json"
# Without it, caches may keep some answers as long as they see fit, a 404 or 501 among them (RFC 9111 section 4.2.2).
NOT_STORED = (b"cache-control", b"no-store")
# Python's enumeration does not have QUERY, the safe method with a body.
KNOWN_METHODS = frozenset((*HTTPMethod, "QUERY"))
RETRY_AFTER = {"Retry-After": "1"}
_KEYED_ADVICE = (
    "Or send the same request with the same Idempotency-Key again: it is not made twice while the key is known, which "
    "it is for the last 16 writes of the playlist (fewer where it nears 400 KB), until another program puts it anew; "
    "for plays it is for ten minutes."
)

_log = logging.getLogger("app.problems")


# A test holds this table against the tree in app/domain/errors.py.
CODES: Mapping[type[PlaylistError], str] = {
    PlaylistNotFound: "playlist-not-found",
    Forbidden: "forbidden",
    InvalidPlaylistToken: "invalid-request",
    InvalidChange: "invalid-request",
    IdempotencyKeyReused: "idempotency-key-reused",
    KeyedCountUnavailable: "invalid-request",
    PlaylistTooLarge: "playlist-too-large",
    EditConflict: "edit-conflict",
    VersionConflict: "version-conflict",
    PreconditionFailed: "precondition-failed",
    PreconditionRequired: "precondition-required",
    PlaylistExists: "playlist-exists",
    DuplicateTrack: "duplicate-track",
    PatchNotApplicable: "patch-not-applicable",
    UnwritableItem: "unwritable-item",
    Throttled: "throttled",
    StorageUnavailable: "storage-unavailable",
    ReadOnlyRegion: "read-only-region",
    ListingUnavailable: "listing-unavailable",
    OutcomeUnknown: "outcome-unknown",
    TableNotReady: "storage-unavailable",
}

# What Starlette and FastAPI raise by themselves.
_FRAMEWORK_CODES = {
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
}


class RequestRefused(Exception):
    """A fault of the request that the API finds before the store is asked."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.headers = headers
        self.members = members


def problem(
    request: Request, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Answer with problem details; `members` are the extensions of this kind of problem."""
    request.scope["state"]["problem_code"] = code
    instance = (request.scope.get("raw_path") or request.url.path.encode()).decode("ascii", "replace")
    content = problem_content(code, detail, instance=instance, request_id=request_id(request), **members)
    return Response(content, PROBLEM_TYPES[code].status, headers, MEDIA_TYPE)


def problem_content(code: str, detail: str, *, instance: str, request_id: str, **members: Any) -> bytes:
    """The JSON of problem details."""
    kind = PROBLEM_TYPES[code]
    return msgspec.json.encode(
        {
            "type": f"/problems/{code}",
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            "instance": instance,
            "code": code,
            "request_id": request_id,
            **members,
        }
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of the app, the framework's own among them, problem details."""
    app.add_exception_handler(PlaylistError, _playlist_error)
    app.add_exception_handler(RequestRefused, _request_refused)
    app.add_exception_handler(AmbiguousField, _ambiguous_field)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _framework_error)


async def _playlist_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlaylistError)
    headers: Mapping[str, str] = {}
    members: dict[str, Any] = {}
    detail = str(error)
    match error:
        case Conflict():
            members = _conflict_members(error)
        case PlaylistTooLarge():
            members = {"size": error.size, "limit": error.limit}
        case InvalidPlaylistToken() | KeyedCountUnavailable() | IdempotencyKeyReused():
            members = {"errors": [{"pointer": "", "detail": str(error)}]}
        case InvalidChange():
            members = {"errors": [{"pointer": pointer, "detail": detail} for pointer, detail in error.faults]}
        case Throttled() | ReadOnlyRegion():
            headers = RETRY_AFTER
        case StorageUnavailable():
            headers = RETRY_AFTER
            _log.warning("storage unavailable: %s", error.cause, extra={"request_id": request_id(request)})
        case TableNotReady():
            headers = RETRY_AFTER
            _log.warning("not ready: %s", error.cause, extra={"request_id": request_id(request)})
        case OutcomeUnknown():
            if "idempotency-key" in request.headers and request.method != "DELETE":
                detail = f"{detail} {_KEYED_ADVICE}"
            _log.warning("outcome unknown: %s", error.cause, extra={"request_id": request_id(request)})
    return problem(request, CODES[type(error)], detail, headers=headers, **members)


def _conflict_members(conflict: Conflict) -> dict[str, Any]:
    current = conflict.current
    members: dict[str, Any] = {
        "expected_version": conflict.expected_version,
        "expected_etag": conflict.expected_entity_tag,
        "current": None if current is None else msgspec.Raw(current.representation),
        "current_etag": None if current is None else current.entity_tag,
    }
    if conflict.read is not None and current is not None:
        members["changed"] = current.members_differing_from(conflict.read)
    return members


def refusal(request: Request, refused: RequestRefused) -> Response:
    """The answer to a request that is refused."""
    return problem(request, refused.code, str(refused), headers=refused.headers, **refused.members)


async def _request_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    return refusal(request, error)


async def _ambiguous_field(request: Request, error: Exception) -> Response:
    return problem(request, "malformed-request", f"{error} appears more than once with different values. Send it once.")


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"pointer": "", "detail": f"{' '.join(map(str, fault['loc']))} {fault_detail(fault)}"}
        for fault in error.errors()
    ]
    return problem(request, "invalid-request", "The request has invalid parameters.", errors=errors)


async def _framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    others = "malformed-request" if 400 <= error.status_code < 500 else "internal-error"
    code = _FRAMEWORK_CODES.get(error.status_code, others)
    if code in ("method-not-allowed", "not-found") and request.method not in KNOWN_METHODS:
        detail = f"{request.method[:40]} is not a method that this service implements."
        return problem(request, "method-not-implemented", detail)
    if request.method == "OPTIONS" and request.scope["path"] == "*":
        return Response(status_code=204)  # It asks about the server as a whole (RFC 9110 section 9.3.7).
    if code == "method-not-allowed":
        routes = _routes_by_method(request.app.routes, request)
        # Inside a mount no route of ours matches; what is mounted there names its methods itself.
        methods = set(routes) or set((error.headers or {}).get("Allow", "").split(", "))
        allow = ", ".join(sorted(methods | {"OPTIONS"}))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": allow, **_accept_patch(routes)})
        detail = f"{request.method} is not allowed here: use {allow}."
        return problem(request, code, detail, headers={"Allow": allow})
    if code == "not-found":
        return problem(request, code, "There is nothing at this path.")
    members: dict[str, Any] = {}
    if code == "body-too-large":
        members = {"size": None, "limit": BODY_LIMIT}
    if code == "invalid-request":
        members = {"errors": [{"pointer": "", "detail": str(error.detail)}]}
    return problem(request, code, str(error.detail), headers=error.headers, **members)


async def unforeseen_error(request: Request, error: Exception) -> Response:
    """The answer to an error that nobody foresaw; the server logs it with its trace."""
    _log.error("unforeseen %s", type(error).__name__, extra={"request_id": request_id(request)})
    detail = "The service failed. If this was a write, read the playlist before you repeat it."
    return problem(request, "internal-error", detail)


def _routes_by_method(routes: list[BaseRoute], request: Request) -> dict[str, BaseRoute]:
    """The routes that a path has: Starlette's Allow covers the first of them only."""
    return {
        method: route
        for route in routes
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }


def _accept_patch(routes: Mapping[str, BaseRoute]) -> dict[str, str]:
    """RFC 5789 section 3.1."""
    patch = routes.get("PATCH")
    if not isinstance(patch, APIRoute):
        return {}
    media_types = (patch.openapi_extra or {})["requestBody"]["content"]
    return {"Accept-Patch": ", ".join(media_types)}
