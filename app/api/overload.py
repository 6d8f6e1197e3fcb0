"""A bound on the requests that a process serves at once: refusing is cheap, and being late helps nobody."""

from typing import TYPE_CHECKING

from app.api.operations import ASKED_BY_MACHINES
from app.api.problems import RETRY_AFTER, RequestRefused

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope


class Places:
    """At most `limit` requests have a place at once, from when their head has been read.

    A request does not count while it waits for bytes of its client, or slow clients could take all
    places; if there is no place left when its body is there, it is refused then.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def needs_none(self, scope: "Scope") -> bool:
        """Whether the request is served whatever the load is."""
        return scope["path"] in ASKED_BY_MACHINES

    def take(self) -> bool:
        """Take a place, or say that there is none."""
        if self._taken >= self._limit:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        self._taken -= 1

    def receiving(self, receive: "Receive") -> "Receive":
        """Receive for a request that has a place, which it does without for as long as that takes."""

        async def receive_without_a_place() -> "Message":
            self._taken -= 1
            try:
                message = await receive()
            finally:
                self._taken += 1
            if self._taken > self._limit and not message.get("more_body", False):
                raise overloaded()
            return message

        return receive_without_a_place


def overloaded() -> RequestRefused:
    """What a request without a place is told."""
    return RequestRefused(
        "overloaded",
        "The service is serving as many requests as it can. Nothing was written: retry later.",
        headers=RETRY_AFTER,
    )
