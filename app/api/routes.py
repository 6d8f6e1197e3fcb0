"""Routes that settle when they are made what will serve their requests.

FastAPI looks at every request for all that a dependency might be, with exit stacks around it for those that yield,
which takes longer than all that ours do. Its signatures, its routing and its document stay as they are.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from starlette._utils import get_route_path
from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute, Match

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# A function, and the places of its arguments among the values so far.
_Step = tuple[Callable[..., Awaitable[Any]], tuple[int, ...]]
# Where a scope keeps the decoded segments of a path that has an encoded slash.
_SEGMENTS = "playlists.segments"
_ExceptionHandlers = Mapping[Any, Callable[..., Any]]


class Declared(params.Header):  # type: ignore[misc]
    """A header for the OpenAPI document alone: who declares it reads its lines from the request.

    FastAPI would pass on one line only of a field that has several.
    """


class DirectRoute(APIRoute):
    """A route whose endpoint answers with a Response and is given no more than what is plain beforehand.

    That is the request, path parameters that may be any string, and what dependencies make of the
    same, and of SecurityScopes. Dependencies are async functions, each called once for a request, in
    FastAPI's order. What needs more is a TypeError when the route is made.

    `DirectRoutes` serves it. FastAPI's own way to it does the same, and takes its time. Nothing
    overrides its dependencies.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if any(type(convertor) is not StringConvertor for convertor in self.param_convertors.values()):
            raise TypeError(f"{path} has a path parameter that is no plain string")
        answer = inspect.signature(endpoint, eval_str=True).return_annotation
        if not (inspect.isclass(answer) and issubclass(answer, Response)):
            raise TypeError(f"{endpoint} has to be declared to return a Response")
        if self.max_body_size is not None:
            raise TypeError(f"{path} has a limit that FastAPI's own routes keep")
        plan = _Plan(tuple(self.param_convertors))
        plan.add(self.dependant)
        self._steps = tuple(plan.steps)
        # Starlette's `$` also matches before a line feed at the end, so /plays%0A would be /plays.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")
        segments = self.path.split("/")
        # Counted from the end, because a root path may come before.
        self._parameter_segments = [index - len(segments) for index, name in enumerate(segments) if name[:1] == "{"]

    def matches(self, scope: "Scope") -> tuple[Match, "Scope"]:
        match, child_scope = super().matches(scope)
        if match is not Match.NONE and (segments := scope.get(_SEGMENTS)) is not None:
            child_scope["path_params"] = dict(zip(self.param_convertors, self._parameters_in(segments), strict=True))
        return match, child_scope

    def _parameters_in(self, segments: Sequence[str]) -> list[str]:
        return [segments[index] for index in self._parameter_segments]

    async def answer(self, request: Request, path_parameters: Sequence[str]) -> Response:
        """The endpoint's answer. Raises what a dependency or the endpoint raises."""
        if (segments := request.scope.get(_SEGMENTS)) is not None:
            path_parameters = self._parameters_in(segments)
        values: list[Any] = [request, *path_parameters]
        for function, places in self._steps:
            values.append(await function(*[values[place] for place in places]))
        response: Response = values[-1]  # The endpoint is the last of the steps.
        return response


def split_before_decoding(scope: "Scope") -> None:
    """Make an encoded slash part of its segment: in the path that routes are matched on, it stays `%2F`.

    ASGI servers decode the whole path, and "a%2Fb" becomes two segments. A path is split first, and its
    segments are decoded then (RFC 3986 section 2.4).
    """
    raw_path: bytes = scope.get("raw_path") or b""
    if b"%2F" in raw_path or b"%2f" in raw_path:
        segments = scope[_SEGMENTS] = [unquote(segment) for segment in raw_path.decode("ascii").split("/")]
        scope["path"] = "/".join(segment.replace("/", "%2F") for segment in segments)


class DirectRoutes:
    """Serves the requests of an application's direct routes; all others go on to `otherwise`.

    They are found in the order in which a router finds them, and errors are answered by the same
    handlers. Raises TypeError where a direct route comes after one of another kind.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], exception_handlers: _ExceptionHandlers, *, otherwise: "ASGIApp"
    ) -> None:
        self._otherwise = otherwise
        self._exception_handlers = exception_handlers
        self._routes: dict[str, list[DirectRoute]] = {}
        others = False
        for route in routes:
            if not isinstance(route, DirectRoute):
                others = True
                continue
            if others:
                raise TypeError(f"{route.path} has to come before the routes of other kinds")
            for method in route.methods or ():
                self._routes.setdefault(method, []).append(route)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http":
            path = get_route_path(scope)
            for route in self._routes.get(scope["method"], ()):
                if (match := route.path_regex.match(path)) is not None:
                    scope["route"] = route
                    request = Request(scope, receive, send)
                    try:
                        response = await route.answer(request, match.groups())
                    except Exception as error:
                        response = await self._problem(request, error)
                    await response(scope, receive, send)
                    return
        await self._otherwise(scope, receive, send)

    async def _problem(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            if kind in self._exception_handlers:
                response: Response = await self._exception_handlers[kind](request, error)
                return response
        raise error


def playlist_router(prefix: str) -> APIRouter:
    """A router for operations on playlists, all of them direct routes."""
    return APIRouter(
        prefix=prefix, tags=["playlists"], route_class=DirectRoute, generate_unique_id_function=operation_id
    )


def operation_id(route: APIRoute) -> str:
    """The name of an operation in the OpenAPI document."""
    return route.name


class _Plan:
    """The steps that serve a request; the request itself and the path parameters are there before them."""

    def __init__(self, path_parameters: tuple[str, ...]) -> None:
        self.steps: list[_Step] = []
        self._first = 1 + len(path_parameters)
        self._path_parameters = {name: place for place, name in enumerate(path_parameters, start=1)}
        self._places: dict[object, int] = {}

    def add(self, dependant: Dependant) -> int:
        """Plan for this value, unless that has been done, and return its place. Raises TypeError."""
        function, scopes = dependant.call, dependant.own_oauth_scopes or []
        assert function is not None
        if not dependant.use_cache or dependant.concurrency is not None or not _is_async(function):
            raise TypeError(f"{function} has to be an async function that is called once for a request")
        if scopes and (dependant.security_scopes_param_name is None or dependant.dependencies):
            raise TypeError(f"{function} has to look at its scopes, and to depend on nothing")
        identity = (function, *scopes)
        if identity not in self._places:
            arguments = self._arguments(function, dependant)
            if dependant.security_scopes_param_name is not None:
                function = partial(function, **{dependant.security_scopes_param_name: SecurityScopes(scopes)})
            self._places[identity] = self._first + len(self.steps)
            self.steps.append((function, arguments))
        return self._places[identity]

    def _arguments(self, function: Callable[..., Any], dependant: Dependant) -> tuple[int, ...]:
        places = {dependency.name: self.add(dependency) for dependency in dependant.dependencies}
        places[dependant.request_param_name] = 0
        for field in dependant.path_params:
            if field.field_info.annotation is not str or field.field_info.metadata:
                raise TypeError(f"{function} has to take any string as {field.name}")
            places[field.name] = self._path_parameters[field.alias]
        declared = {field.name for field in dependant.header_params if isinstance(field.field_info, Declared)}
        names = list(inspect.signature(function).parameters)
        left_out = {dependant.security_scopes_param_name} | declared
        if strange := set(names) - left_out - places.keys():
            raise TypeError(f"{function} cannot be given {', '.join(sorted(strange))} by a route of this kind")
        given = [name for name in names if name not in left_out]
        if given != names[: len(given)]:
            raise TypeError(f"{function} has to take {', '.join(given)} first")
        return tuple(places[name] for name in given)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
