"""Time limits of many short calls on one timer.

`asyncio.timeout_at` makes a timer for each, and takes it back: most calls are over long before it.
"""

import asyncio
from math import inf
from types import TracebackType

# The event loop's clock may ring as much too early.
_CLOCK_TICK_SECONDS = 0.001


class Timer:
    """Cancels what is past its limit; on one event loop at a time."""

    def __init__(self) -> None:
        self.running: set[TimeLimit] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.rings_at = inf
        self._handle: asyncio.TimerHandle | None = None

    def ring_at(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None and self.loop is loop:
            self._handle.cancel()
        self.loop, self.rings_at = loop, when
        self._handle = loop.call_at(when, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle, self.rings_at = None, inf
        now = loop.time() + _CLOCK_TICK_SECONDS
        for limit in [limit for limit in self.running if limit.when <= now]:
            self.running.remove(limit)
            limit.cancel()
        if self.running:
            self.ring_at(min(limit.when for limit in self.running), loop)


class TimeLimit:
    """As `asyncio.timeout_at`: the block is cancelled at a time (the loop's), and raises TimeoutError then."""

    __slots__ = ("_cancel_requests", "_is_over", "_task", "_timer", "when")

    def __init__(self, when: float, timer: Timer) -> None:
        self.when = when
        self._timer = timer
        self._is_over = False

    def __enter__(self) -> None:
        timer, loop = self._timer, asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._cancel_requests = task, task.cancelling()
        timer.running.add(self)
        if self.when < timer.rings_at or loop is not timer.loop:
            timer.ring_at(self.when, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The timer goes on, for the limits to come.
        self._timer.running.discard(self)
        # A task that others cancel too is cancelled, and not only late.
        if self._is_over and self._task.uncancel() <= self._cancel_requests and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def cancel(self) -> None:
        self._is_over = True
        self._task.cancel()
