"""Routes that settle when they are made what will serve their requests.

FastAPI looks at every request for all that a dependency might be, with exit stacks around it for those that yield,
which takes longer than all that ours do. Its signatures, its routing and its document stay as they are.
"""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from starlette._utils import get_route_path
from starlette.convertors import StringConvertor
from starlette.routing import Match

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# A function, and for each of its parameters the place of the argument among the values so far.
_Step = tuple[Callable[..., Awaitable[Any]], tuple[tuple[str, int], ...]]


class Declared(params.Header):  # type: ignore[misc]
    """A header for the OpenAPI document alone: who declares it reads its lines from the request.

    FastAPI would pass on one line only of a field that has several.
    """


class DirectRoute(APIRoute):
    """A route whose endpoint answers with a Response and is given no more than what is plain beforehand.

    That is the request, path parameters that may be any string, and what dependencies make of the
    same, and of SecurityScopes. Dependencies are async functions, each called once for a request, in
    FastAPI's order. What needs more is a TypeError when the route is made.

    It has to be among the application's own routes: those of an included router are served in FastAPI's
    way, which does the same and takes its time. Nothing overrides its dependencies.
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
        names = tuple(self.param_convertors)
        plan = _Plan(names)
        plan.add(self.dependant)
        steps = tuple(plan.steps)

        async def serve(scope: "Scope", receive: "Receive", send: "Send") -> None:
            values: list[Any] = [Request(scope, receive, send)]
            for name in names:
                values.append(scope["path_params"][name])
            for function, arguments in steps:
                values.append(await function(**{name: values[place] for name, place in arguments}))
            response: Response = values[-1]  # The endpoint is the last of the steps.
            await response(scope, receive, send)

        self.app = serve

    def matches(self, scope: "Scope") -> tuple[Match, "Scope"]:
        """As Starlette's, for path parameters that are any string."""
        if scope["type"] != "http" or (match := self.path_regex.match(get_route_path(scope))) is None:
            return Match.NONE, {}
        is_full = scope["method"] in (self.methods or ())
        found = {"endpoint": self.endpoint, "path_params": match.groupdict(), "route": self}
        return (Match.FULL if is_full else Match.PARTIAL), found

    async def handle(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """As FastAPI's, for a route that no router includes."""
        if scope["method"] in (self.methods or ()):
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)


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

    def _arguments(self, function: Callable[..., Any], dependant: Dependant) -> tuple[tuple[str, int], ...]:
        places = {dependency.name: self.add(dependency) for dependency in dependant.dependencies}
        places[dependant.request_param_name] = 0
        for field in dependant.path_params:
            if field.field_info.annotation is not str or field.field_info.metadata:
                raise TypeError(f"{function} has to take any string as {field.name}")
            places[field.name] = self._path_parameters[field.alias]
        declared = {field.name for field in dependant.header_params if isinstance(field.field_info, Declared)}
        names = set(inspect.signature(function).parameters) - {dependant.security_scopes_param_name} - declared
        if strange := names - places.keys():
            raise TypeError(f"{function} cannot be given {', '.join(sorted(strange))} by a route of this kind")
        return tuple((name, place) for name, place in places.items() if name is not None)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
