"""Direct routes answer as FastAPI's own do, and refuse to be made for what they cannot do."""

from collections.abc import Callable
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Path, Query, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from starlette.responses import PlainTextResponse, Response

from app.api.auth import Authorization
from app.api.overload import Places
from app.api.problems import add_problem_handlers
from app.api.routes import Declared, DirectRoute
from app.api.service import Service
from app.api.telemetry import Telemetry
from app.domain.errors import PlaylistNotFound
from app.main import create_app
from app.metrics import Metrics
from app.settings import load_settings

Token = Annotated[str, Path(description="Any string.")]


class Guard:
    async def __call__(self, request: Request, needed: SecurityScopes) -> str:
        note(request, f"guard {needed.scope_str}")
        if request.query_params.get("refuse") == "guard":
            raise HTTPException(401, "no entry", headers={"WWW-Authenticate": "Bearer"})
        return needed.scope_str


GUARD = Guard()


def note(request: Request, what: str) -> None:
    request.scope.setdefault("noted", []).append(what)


async def content(request: Request) -> bytes:
    note(request, "content")
    return await request.body()


Content = Annotated[bytes, Depends(content)]


async def header(request: Request, seen: Annotated[str | None, Declared(alias="X-Seen")] = None) -> list[str]:
    del seen
    note(request, "header")
    if request.query_params.get("refuse") == "header":
        raise PlaylistNotFound("p1")
    return request.headers.getlist("X-Seen")


async def digest(token: Token, content: Content, scopes: Annotated[str, Security(GUARD, scopes=["b"])]) -> str:
    return f"{token} {len(content)} {scopes}"


async def endpoint(
    token: Token,
    digest: Annotated[str, Depends(digest)],
    content: Content,
    request: Request,
    header: Annotated[list[str], Depends(header)],
) -> Response:
    note(request, "endpoint")
    if request.query_params.get("refuse") == "endpoint":
        raise ZeroDivisionError
    told = repr((token, digest, content, header, request.method, request.scope["noted"]))
    tasks = BackgroundTasks()
    tasks.add_task(note, request, "task")
    return PlainTextResponse(told, 202, headers={"X-Length": str(len(content))}, background=tasks)


def app_of(kind: type[APIRoute], *, traced: bool = False) -> Service:
    dependencies = [Security(GUARD, scopes=["a"])]
    route = kind("/at/{token}", endpoint, methods=["POST", "PUT"], status_code=201, dependencies=dependencies)
    other = kind("/at/{token}", endpoint, methods=["DELETE"], name="other")
    app = Service(
        telemetry=Telemetry(Metrics(), traced=traced),
        places=Places(1),
        traced_by={"tracing": traced, "auto_configure": False, "metrics": False, "logs": False},
        routes=[route, other],
        redirect_slashes=False,
    )
    add_problem_handlers(app)
    return app


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/at/x"),
        ("PUT", "/at/x"),
        ("DELETE", "/at/x"),
        ("POST", "/at/%20%C3%A9%E2%80%A8"),
        ("POST", "/at/%ff"),
        ("POST", "/at/x/"),
        ("POST", "/at/"),
        ("POST", "/at/x?refuse=guard"),
        ("POST", "/at/x?refuse=header"),
        ("POST", "/at/x?refuse=endpoint"),
        ("GET", "/at/x"),
        ("HEAD", "/at/x"),
        ("OPTIONS", "/at/x"),
        ("PATCH", "/at/x?refuse=guard"),
    ],
)
async def test_a_direct_route_answers_as_that_of_fastapi_does(method: str, target: str) -> None:
    answers = []
    for app in (app_of(APIRoute), app_of(DirectRoute), app_of(DirectRoute, traced=True)):
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://playlists.test") as http:
            headers = [("X-Seen", "1"), ("X-Seen", "2"), ("X-Request-ID", "r1")]
            answer = await http.request(method, target, headers=headers, content=b"body")
        answers.append((answer.status_code, answer.headers.multi_items(), answer.content))

    assert answers[0] == answers[1] == answers[2]


async def test_a_direct_route_has_to_come_before_the_others() -> None:
    app = app_of(DirectRoute)
    app.router.routes.insert(0, app_of(APIRoute).routes[0])

    with pytest.raises(TypeError, match="has to come before the routes"):
        app.build_middleware_stack()


def test_the_document_has_what_dependencies_of_direct_routes_declare() -> None:
    [fastapi, direct] = (FastAPI(routes=[kind("/at/{token}", endpoint)]).openapi() for kind in (APIRoute, DirectRoute))

    assert direct == fastapi
    assert "X-Seen" in {parameter["name"] for parameter in direct["paths"]["/at/{token}"]["get"]["parameters"]}


async def returns_nothing_said(request: Request): ...  # type: ignore[no-untyped-def]


async def returns_a_model(request: Request) -> dict[str, Any]: ...  # type: ignore[empty-body]


def runs_in_a_thread(request: Request) -> Response: ...  # type: ignore[empty-body]


async def takes_a_number(token: int) -> Response: ...  # type: ignore[empty-body]


async def takes_a_short_string(token: Annotated[str, Path(max_length=2)]) -> Response: ...  # type: ignore[empty-body]


async def takes_a_query(wanted: Annotated[str, Query()]) -> Response: ...  # type: ignore[empty-body]


async def takes_a_header(wanted: Annotated[str, Header()] = "") -> Response: ...  # type: ignore[empty-body]


async def takes_a_body(wanted: dict[str, str]) -> Response: ...  # type: ignore[empty-body]


async def takes_tasks(wanted: BackgroundTasks) -> Response: ...  # type: ignore[empty-body]


async def takes_the_response(wanted: Response) -> Response: ...  # type: ignore[empty-body]


async def yields(request: Request) -> Any:
    yield request


async def takes_what_is_yielded(wanted: Annotated[Any, Depends(yields)]) -> Response: ...  # type: ignore[empty-body]


async def takes_what_a_thread_makes(wanted: Annotated[Any, Depends(runs_in_a_thread)]) -> Response: ...  # type: ignore[empty-body]


async def takes_it_twice(wanted: Annotated[Any, Depends(content, use_cache=False)]) -> Response: ...  # type: ignore[empty-body]


async def takes_unread_scopes(wanted: Annotated[Any, Security(content, scopes=["a"])]) -> Response: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    "unfit",
    [
        returns_nothing_said,
        returns_a_model,
        runs_in_a_thread,
        takes_a_number,
        takes_a_short_string,
        takes_a_query,
        takes_a_header,
        takes_a_body,
        takes_tasks,
        takes_the_response,
        takes_what_is_yielded,
        takes_what_a_thread_makes,
        takes_it_twice,
        takes_unread_scopes,
    ],
    ids=lambda unfit: unfit.__name__,
)
def test_a_direct_route_is_not_made_for_what_it_cannot_give(unfit: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        DirectRoute("/at/{token}", unfit)


def test_a_direct_route_keeps_no_limit_of_its_own() -> None:
    with pytest.raises(TypeError):
        DirectRoute("/at/{token}", endpoint, max_body_size=1)


def test_every_operation_on_playlists_is_a_direct_route_of_the_application() -> None:
    app = create_app(load_settings(auth="none"))

    direct = [route for route in app.routes if isinstance(route, DirectRoute)]

    served = {(route.path, method.lower()) for route in direct for method in route.methods or ()}
    paths = app.openapi()["paths"].items()
    assert served == {
        (path, method) for path, operations in paths for method in operations if path.startswith("/playlists")
    }


def test_every_operation_on_playlists_asks_who_calls_before_all_else() -> None:
    app = create_app(load_settings(auth="none"))

    asked_first = [route.dependant.dependencies[0] for route in app.routes if isinstance(route, DirectRoute)]

    assert {type(dependency.call) for dependency in asked_first} == {Authorization}


@pytest.mark.parametrize("traced", [False, True])
def test_requests_are_refused_before_the_service_is_called_unless_their_refusal_is_to_be_traced(traced: bool) -> None:
    app = app_of(DirectRoute, traced=traced)
    scopes = [{"method": "GET", "path": "/at/x", "raw_path": b"/at/x", "type": "http", "headers": []} for _ in range(2)]

    answers = [app.refuse_at_once(scope | {"state": {}}) for scope in scopes]

    assert [answer is None for answer in answers] == [True, traced]
