"""Attempts at a call: bounded in number, by a budget and by the request's deadline.

The SDK makes single attempts, so that this loop knows the outcome of each. What decides about a
write is whether any attempt may have been applied: it is `uncertain` from then on.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from app.domain.errors import OutcomeUnknown, StorageUnavailable, Throttled
from app.settings import Settings
from app.store.dynamodb import ConditionFailed
from app.store.time_limits import TimeLimit, Timer

Answer = TypeVar("Answer")

# What is left of a request's time for the read that settles an unknown outcome.
_SHARE_FOR_SETTLING = 0.2
_LONGEST_DELAY_SECONDS = 1.0
# Doublings of the back-off between appends: with more, the deadline ends them before their number does.
_STEEPEST_APPEND = 4
_BUDGET_EARNED_BY_SUCCESS = 0.1


class Deadline(msgspec.Struct, frozen=True):
    """When a request has to be answered, and until when it may attempt what it was sent for (loop time)."""

    work: float
    end: float


class Attempts:
    """The retry policy of a process, with its retry budget.

    The budget keeps retries from multiplying the load on a table that is failing already: each
    retry takes one from it, each success gives back a tenth.
    """

    def __init__(self, settings: Settings) -> None:
        self._deadline_seconds = settings.request_deadline_seconds
        self._most = settings.max_attempts
        self._base_delay = settings.retry_base_delay_seconds
        self._connect_timeout = settings.connect_timeout_seconds
        self._most_appends = settings.append_attempts
        self._timer = Timer()
        self._full_budget = self._budget = float(settings.retry_budget)

    def deadline(self) -> Deadline:
        """The deadline of a request that starts now."""
        end = asyncio.get_running_loop().time() + self._deadline_seconds
        return Deadline(work=end - self._deadline_seconds * _SHARE_FOR_SETTLING, end=end)

    async def read(self, call: Callable[[], Awaitable[Answer]], deadline: Deadline) -> Answer:
        """Repeat a read until it is answered. Raises Throttled, StorageUnavailable."""
        attempt = 1
        while True:
            try:
                return await self._made(call, deadline.work)
            except TimeoutError as error:
                raise _late_read() from error
            except (Throttled, StorageUnavailable) as failure:
                if not await self._may_repeat(attempt, failure, deadline):
                    raise
            attempt += 1

    async def write(
        self, call: Callable[[], Awaitable[Answer]], deadline: Deadline, *, holds_again: bool = False
    ) -> Answer:
        """Repeat a write until its outcome is known.

        `holds_again` says that its condition can hold once more after the write was applied, or that
        it has none. Such a write is not repeated after an attempt of unknown outcome: it could be
        applied twice.
        Raises ConditionFailed, `uncertain` if an earlier attempt may have been applied; Throttled or
        StorageUnavailable if no attempt can have been; OutcomeUnknown otherwise.
        """
        unknown: OutcomeUnknown | None = None
        failure: Throttled | StorageUnavailable | OutcomeUnknown
        attempt = 1
        while True:
            try:
                return await self._made(call, deadline.work)
            except ConditionFailed as lost:
                lost.uncertain = unknown is not None
                raise
            except TimeoutError:
                failure = unknown = OutcomeUnknown("no answer to a write before the deadline")
            except OutcomeUnknown as error:
                failure = unknown = error
            except (Throttled, StorageUnavailable) as error:
                failure = error
            if (unknown and holds_again) or not await self._may_repeat(attempt, failure, deadline):
                raise unknown or failure
            attempt += 1

    async def settle(self, read: Callable[[], Awaitable[Answer]], deadline: Deadline) -> Answer:
        """Read once to find out how a write ended, in the time that is kept for it. Raises as `read`."""
        try:
            return await self._made(read, deadline.end)
        except TimeoutError as error:
            raise _late_read() from error

    async def may_append_again(self, attempt: int, deadline: Deadline) -> bool:
        """Wait before an append that lost to another writer is made anew, or say that it is not.

        Costs nothing of the budget: the table serves, and one of the writers got through.
        """
        return attempt < self._most_appends and await self._waited(min(attempt, _STEEPEST_APPEND), deadline)

    async def _made(self, call: Callable[[], Awaitable[Answer]], until: float) -> Answer:
        with TimeLimit(until, self._timer):
            answer = await call()
        self._budget = min(self._full_budget, self._budget + _BUDGET_EARNED_BY_SUCCESS)
        return answer

    async def _may_repeat(self, attempt: int, failure: Exception, deadline: Deadline) -> bool:
        """Wait for the next attempt, or say that there is none."""
        if isinstance(failure, StorageUnavailable) and not failure.passing:
            return False
        if attempt >= self._most or self._budget < 1:
            return False
        # Cut off while it still connects, an attempt would be one of unknown outcome, and was never sent.
        if not await self._waited(attempt, deadline, room=self._connect_timeout):
            return False
        self._budget -= 1
        return True

    async def _waited(self, attempt: int, deadline: Deadline, *, room: float = 0) -> bool:
        """Back off, unless less than `room` seconds would be left then."""
        # Full jitter: writers that failed together do not come back together.
        delay = random.uniform(0, min(_LONGEST_DELAY_SECONDS, self._base_delay * 2 ** (attempt - 1)))  # noqa: S311
        if asyncio.get_running_loop().time() + delay + room >= deadline.work:
            return False
        await asyncio.sleep(delay)
        return True


def _late_read() -> StorageUnavailable:
    return StorageUnavailable("no answer to a read before the deadline", passing=False)
