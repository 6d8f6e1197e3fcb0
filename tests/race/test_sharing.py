"""How the renames of a race are shared, in a time of the test's own: the same whenever it runs."""

import asyncio
import random
import selectors
from itertools import pairwise

from app.race.chain import Outcome, State
from app.race.playlists import Answer
from app.race.race import Race, run_race

ANSWER_SECONDS = 0.005


class JumpingSelector(selectors.DefaultSelector):
    """Moves the clock of its loop on instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class SlowPlaylist:
    """Answers every request after the same time, in the order of arrival: who does not wait is in lock-step."""

    token = "p"

    def __init__(self) -> None:
        self._state = State(1, '"1"', "First")

    async def read(self) -> State:
        await asyncio.sleep(ANSWER_SECONDS)
        return self._state

    async def rename(self, name: str, base: State) -> Answer:
        await asyncio.sleep(ANSWER_SECONDS)
        if base != self._state:
            return Answer(Outcome.CONFLICT)
        self._state = State(base.version + 1, f'"{base.version + 1}"', name)
        return Answer(Outcome.ACKNOWLEDGED, self._state)

    async def recovered(self) -> int | None:
        return None


def race() -> Race:
    random.seed(1)
    running = run_race(SlowPlaylist(), writers=8, renames=200, is_shared=False, each_done=lambda: None)
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(running)


def test_no_writer_starves_where_all_are_answered_after_the_same_time() -> None:
    shares = race().acknowledged_by_writer()

    assert sum(shares) == 200
    assert min(shares) >= 10  # In lock-step it is 1, and the first writer makes the other 193.


def test_writer_leaves_the_others_a_moment_after_a_success() -> None:
    makers = [attempt.writer for attempt in race().chain().links]

    in_a_row = sum(maker == following for maker, following in pairwise(makers))
    assert in_a_row < 30  # 67 and more without the moment.


def test_writer_backs_off_after_a_conflict() -> None:
    conflicts = race().results()["conflicts"]

    assert 7 <= conflicts < 350  # All but one of the first attempts; 510 and more without a back-off.


def test_race_of_writers_that_wait_is_explained() -> None:
    finished = race()

    assert finished.is_explained()
    assert (finished.first.version, finished.last.version) == (1, 201)
