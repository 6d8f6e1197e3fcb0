"""The field lines of requests, as ASGI has them: names in lower case."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

# Where a request's scope keeps its lines by their names: more are asked for than are there.
_BY_NAME = "playlists.fields"


def field_lines(scope: "Scope", name: bytes) -> list[str]:
    """The values of all lines of a field, in their order, as they came: of changed headers it knows nothing."""
    by_name: dict[bytes, list[bytes]] | None = scope.get(_BY_NAME)
    if by_name is None:
        by_name = scope[_BY_NAME] = {}
        for key, value in scope["headers"]:
            by_name.setdefault(key, []).append(value)
    lines = by_name.get(name)
    return [line.decode("latin-1") for line in lines] if lines else []


def field_value(scope: "Scope", name: bytes) -> str:
    """The value of a field that has one line, the first if there are more; empty where there is none."""
    lines = field_lines(scope, name)
    return lines[0] if lines else ""
