"""The versions of a playlist after a race, and who made each: what was acknowledged, held against what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class State:
    """A playlist as somebody saw it. `entity_tag` is empty where there is none, as in an item of the table."""

    version: int
    entity_tag: str
    name: str


class Outcome(Enum):
    """What a writer was told of its attempt."""

    ACKNOWLEDGED = "acknowledged"
    CONFLICT = "conflict"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a rename. No other has its `name`, so a state tells who made it.

    `made` is the state that an acknowledgement says it made; the times are in seconds.
    """

    writer: int
    name: str
    base: State
    outcome: Outcome
    made: State | None
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Chain:
    """The attempts that made the last state, oldest first, each on the state that the one before it made.

    `lost` were acknowledged and are not in it: nobody after them has seen what they wrote.
    `false_conflicts` are in it and were told that nothing was written. `unexplained` counts the versions
    that no attempt made.
    """

    links: tuple[Attempt, ...]
    lost: tuple[Attempt, ...]
    unexplained: int

    @property
    def false_conflicts(self) -> tuple[Attempt, ...]:
        told_of_none = (Outcome.CONFLICT, Outcome.REFUSED)
        return tuple(attempt for attempt in self.links if attempt.outcome in told_of_none)

    @property
    def landed_unknown(self) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self.links if attempt.outcome is Outcome.UNKNOWN)


def _may_have_made(attempt: Attempt, state: State) -> bool:
    is_its_version = attempt.made is None or attempt.made.version == state.version
    return is_its_version and attempt.base.version < state.version


def chain_between(first: State, last: State, attempts: Sequence[Attempt]) -> Chain:
    """Follow the bases of the attempts from the last state back to the first."""
    by_name = {attempt.name: attempt for attempt in attempts}
    acknowledged = [attempt for attempt in attempts if attempt.outcome is Outcome.ACKNOWLEDGED]
    links: list[Attempt] = []
    unexplained = 0
    state = last
    while state.version > first.version:
        maker = by_name.get(state.name)
        if maker is not None and _may_have_made(maker, state):
            links.append(maker)
            before = maker.base
            unexplained += state.version - before.version - 1
            # Another program has changed something else without raising the version, or a tag was false.
            unexplained += maker.made not in (None, state)
        else:
            # Somebody else's, who does not tell its base: go on at the next one that was acknowledged.
            earlier = [made for attempt in acknowledged if (made := attempt.made) and made.version < state.version]
            before = max([first, *earlier], key=lambda made: made.version)
            unexplained += state.version - before.version
        state = before
    unexplained += state != first
    linked = {attempt.name for attempt in links}
    lost = tuple(attempt for attempt in acknowledged if attempt.name not in linked)
    return Chain(tuple(reversed(links)), lost, unexplained)
