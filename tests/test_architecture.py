"""Imports run api -> store -> domain, and the domain knows neither FastAPI nor AWS."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api import listing, operations, playlists, plays, tracks
from app.api.problem_types import PROBLEM_TYPES
from app.api.problems import CODES
from app.domain import errors

APP = Path(__file__).parent.parent / "app"
FORBIDDEN = {
    "domain": ("app.store", "app.api", "app.main", "app.settings", "fastapi", "starlette", "pydantic", "boto", "aio"),
    "store": ("app.api", "app.main", "fastapi", "starlette"),
    "api": ("app.main", "app.cli", "boto", "aiobot"),
}


def imported_modules(source: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_imports_run_one_way(layer: str) -> None:
    sources = sorted((APP / layer).glob("*.py"))
    against = {
        f"{source.name}: {module}"
        for source in sources
        for module in imported_modules(source)
        if module.startswith(FORBIDDEN[layer])
    }

    assert sources
    assert not against


def test_every_error_has_a_problem_code() -> None:
    leaves = {
        error
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.PlaylistError) and not error.__subclasses__()
    }

    assert leaves == set(CODES)
    assert set(CODES.values()) <= set(PROBLEM_TYPES)


def test_the_tree_of_errors_is_drawn_in_full() -> None:
    drawing = errors.__doc__ or ""

    assert all(error.__name__ in drawing for error in CODES)


def test_no_dependency_of_a_route_runs_in_a_thread() -> None:
    """FastAPI runs those that are not async in threads, which takes longer than what they do."""

    def is_async(call: object) -> bool:
        return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)

    def all_of(dependant: Dependant) -> Iterator[Dependant]:
        yield from dependant.dependencies
        for dependency in dependant.dependencies:
            yield from all_of(dependency)

    routers = (listing.router, operations.router, playlists.router, plays.router, tracks.router)
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    found = [dependency for route in routes for dependency in all_of(route.dependant)]

    assert len(found) > len(routes)
    assert not [dependency.call for dependency in found if not is_async(dependency.call)]
