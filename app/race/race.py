"""The race itself, and its figures."""

import asyncio
import itertools
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from app.race.chain import Attempt, Chain, Outcome, State, chain_between
from app.race.playlists import RacedPlaylist, RaceImpossible

_REFUSALS_IN_A_ROW = 10
# A low limit: with a high one, a writer that has lost often waits on while others win.
_FIRST_BACK_OFF_SECONDS = 0.02
_LONGEST_BACK_OFF_SECONDS = 0.16
_LONGEST_THOUGHT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Race:
    """A race that was run."""

    playlist_token: str
    writers: int
    first: State
    last: State
    attempts: tuple[Attempt, ...]
    seconds: float
    own_writes_recovered: int | None
    # Whether other programs may have written the playlist meanwhile.
    is_shared: bool

    def chain(self) -> Chain:
        return chain_between(self.first, self.last, self.attempts)

    def acknowledged_by_writer(self) -> list[int]:
        """How many renames of each writer were acknowledged, the first writer first."""
        shares = Counter(attempt.writer for attempt in self.attempts if attempt.outcome is Outcome.ACKNOWLEDGED)
        return [shares[writer] for writer in range(1, self.writers + 1)]

    def results(self) -> dict[str, Any]:
        """The figures, as `--json` prints them."""
        told = Counter(attempt.outcome for attempt in self.attempts)
        milliseconds = sorted(1000 * (attempt.ended - attempt.began) for attempt in self.attempts)
        chain = self.chain()
        return {
            "playlist_token": self.playlist_token,
            "writers": self.writers,
            "first_version": self.first.version,
            "last_version": self.last.version,
            "acknowledged": told[Outcome.ACKNOWLEDGED],
            "acknowledged_by_writer": self.acknowledged_by_writer(),
            "lost": len(chain.lost),
            "conflicts": told[Outcome.CONFLICT],
            "false_conflicts": len(chain.false_conflicts),
            "refused": told[Outcome.REFUSED],
            "unknown": told[Outcome.UNKNOWN],
            "unknown_and_made": len(chain.landed_unknown),
            "own_writes_recovered": self.own_writes_recovered,
            "unexplained_versions": chain.unexplained,
            "seconds": round(self.seconds, 3),
            "acknowledged_per_second": round(told[Outcome.ACKNOWLEDGED] / self.seconds, 1),
            "latency_ms": {f"p{percent}": round(_percentile(milliseconds, percent), 1) for percent in (50, 95, 99)},
        }

    def is_explained(self) -> bool:
        """Whether every acknowledged write is there, and nothing that nobody made."""
        chain = self.chain()
        return not chain.lost and not chain.false_conflicts and (self.is_shared or not chain.unexplained)


async def run_race(
    playlist: RacedPlaylist, *, writers: int, renames: int, is_shared: bool, each_done: Callable[[], None]
) -> Race:
    """Let the writers make that many renames between them; each goes on until it is made or its outcome unknown.

    Every writer has at least one to make, if there are as many renames as writers. All begin from the same state, so
    that all but one of their first attempts are too late, however fast the service is.
    """
    turns = iter(range(1, renames + 1))
    attempts: list[Attempt] = []
    race = secrets.token_hex(3)

    async def write(writer: int, first_turn: int) -> None:
        await rename(writer, first_turn, first)
        each_done()
        for turn in turns:
            # The winner is the first to know the new state: if it went on at once, it would win again and again.
            await asyncio.sleep(random.uniform(0, _LONGEST_THOUGHT_SECONDS))  # noqa: S311
            # Patiently, so that not all renames are spent on a service that is gone.
            await rename(writer, turn, await playlist.read())
            each_done()

    async def rename(writer: int, turn: int, base: State) -> None:
        refusals = 0
        longest_back_off = _FIRST_BACK_OFF_SECONDS
        for number in itertools.count(1):
            name = f"race {race} writer {writer} rename {turn}.{number}"
            began = time.perf_counter() - start
            answer = await playlist.rename(name, base)
            ended = time.perf_counter() - start
            attempts.append(Attempt(writer, name, base, answer.outcome, answer.made, began, ended))
            match answer.outcome:
                case Outcome.ACKNOWLEDGED | Outcome.UNKNOWN:
                    return
                case Outcome.CONFLICT:
                    refusals = 0
                case Outcome.REFUSED:
                    refusals += 1
                    if refusals == _REFUSALS_IN_A_ROW:
                        raise RaceImpossible(f"the service refused {refusals} attempts in a row with 429 or 503")
            # Full jitter: writers that failed together do not come back together.
            await asyncio.sleep(answer.retry_after_seconds + random.uniform(0, longest_back_off))  # noqa: S311
            longest_back_off = min(2 * longest_back_off, _LONGEST_BACK_OFF_SECONDS)
            # The state that a conflict showed may be old by now.
            base = await playlist.read()

    first = await playlist.read()
    recovered_before = await playlist.recovered()
    start = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for writer, turn in zip(range(1, writers + 1), turns, strict=False):
                group.create_task(write(writer, turn))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    seconds = time.perf_counter() - start
    recovered = await playlist.recovered()
    return Race(
        playlist_token=playlist.token,
        writers=writers,
        first=first,
        last=await playlist.read(),
        attempts=tuple(attempts),
        seconds=seconds,
        own_writes_recovered=None if recovered is None or recovered_before is None else recovered - recovered_before,
        is_shared=is_shared,
    )


def _percentile(ordered: list[float], percent: int) -> float:
    """By nearest rank."""
    return ordered[ceil(len(ordered) * percent / 100) - 1]
