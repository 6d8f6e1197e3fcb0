"""A bound on the requests that a process serves at once: refusing is cheap, and being late helps nobody."""

from typing import TYPE_CHECKING

from starlette.requests import Request

from app.api.operations import ASKED_BY_MACHINES
from app.api.problems import RETRY_AFTER, RequestRefused, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DETAIL = "The service is serving as many requests as it can. Nothing was written: retry later."


class OverloadMiddleware:
    """Refuses what would be more than `limit` requests in flight, with its body unread.

    A request does not count while it waits for bytes of its client, or slow clients could take all
    places; if there is no place left when its body is there, it is refused then.
    """

    def __init__(self, app: "ASGIApp", *, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._in_flight = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or scope["path"] in ASKED_BY_MACHINES:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limit:
            refusal = problem(Request(scope), "overloaded", _DETAIL, headers=RETRY_AFTER)
            await refusal(scope, receive, send)
            return

        async def receive_without_a_place() -> "Message":
            self._in_flight -= 1
            try:
                message = await receive()
            finally:
                self._in_flight += 1
            if self._in_flight > self._limit and not message.get("more_body", False):
                raise RequestRefused("overloaded", _DETAIL, headers=RETRY_AFTER)
            return message

        self._in_flight += 1
        try:
            await self._app(scope, receive_without_a_place, send)
        finally:
            self._in_flight -= 1
