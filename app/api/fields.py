"""The field lines of requests, as ASGI has them: names in lower case."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from starlette.types import Scope

_WEIGHT = re.compile(r"[01](?:\.[0-9]{0,3})?")
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
    """The value of a field that may stand once; empty where there is none.

    Raises AmbiguousField where it stands several times with different values: whichever is taken, somebody
    before or behind this service may take the other one (RFC 9110 section 5.3).
    """
    lines = field_lines(scope, name)
    if not lines:
        return ""
    if any(line != lines[0] for line in lines):
        raise AmbiguousField(name.decode().title())
    return lines[0]


def preferred_media_type(request: HTTPConnection, offered: Sequence[str]) -> str:
    """Of the media types that are offered, the one that the Accept field prefers (RFC 9110 section 12.5.1).

    The first of those that it prefers alike; the first of all where it accepts none of them.
    """
    ranges: dict[str, float] = {}
    for element in ",".join(field_lines(request.scope, b"accept")).split(","):
        media_range, *parameters = (part.strip().lower() for part in element.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        ranges[media_range] = float(weights[0]) if weights and _WEIGHT.fullmatch(weights[0]) else 1.0

    def weight(media_type: str) -> float:
        names = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        return next((ranges[name] for name in names if name in ranges), 0.0)

    return max(offered, key=weight)


class AmbiguousField(Exception):
    """`str` is the name of the field."""
