"""Imports run api -> store -> domain, and the domain knows neither FastAPI nor AWS."""

import ast
import inspect
from pathlib import Path

import pytest

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
