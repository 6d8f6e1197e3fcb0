"""The request id: taken from X-Request-ID or made, in every answer of the app and in its own log lines."""

import re
import secrets
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from app.api.fields import field_value

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_FIELD = HEADER.lower().encode()
# What is echoed into headers and logs must not be able to end a line or carry markup.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


def request_id(connection: HTTPConnection) -> str:
    identifier: str = connection.state.request_id
    return identifier


class RequestIdMiddleware:
    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = field_value(scope, _FIELD)
        identifier = sent if _ACCEPTABLE.fullmatch(sent) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = identifier

        async def send_with_id(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_FIELD, identifier.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)
