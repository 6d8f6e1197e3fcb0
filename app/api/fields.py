"""The field lines of requests, as ASGI has them: names in lower case."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope


def field_lines(scope: "Scope", name: bytes) -> list[str]:
    """The values of all lines of a field, in their order; Starlette makes an object a request for it."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def field_value(scope: "Scope", name: bytes) -> str:
    """The value of a field that has one line, the first if there are more; empty where there is none."""
    lines = field_lines(scope, name)
    return lines[0] if lines else ""
