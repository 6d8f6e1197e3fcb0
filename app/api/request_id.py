"""The request id: taken from X-Request-ID or made, in every answer of the app and in its own log lines."""

import random
import re
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from app.api.fields import field_lines

if TYPE_CHECKING:
    from starlette.types import Scope

HEADER = "X-Request-ID"
_FIELD = HEADER.lower().encode()
# What is echoed into headers and logs must not be able to end a line or carry markup.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


def request_id(connection: HTTPConnection) -> str:
    """The id that the request has been given."""
    identifier: str = connection.scope["state"]["request_id"]
    return identifier


def give_request_id(scope: "Scope") -> tuple[bytes, bytes]:
    """Give a request its id; returns the header line that its answer has."""
    # Several different ones name no request.
    sent = "".join(set(field_lines(scope, _FIELD)))
    # It has to be its own, and no secret: those that are take a system call each.
    identifier = sent if _ACCEPTABLE.fullmatch(sent) else f"{random.getrandbits(128):032x}"
    scope.setdefault("state", {})["request_id"] = identifier
    return _FIELD, identifier.encode()
