"""What the store did for a request, written down for whoever counts and tells it."""

from contextvars import ContextVar

import msgspec


class Call(msgspec.Struct, frozen=True):
    """One call to DynamoDB.

    `outcome` is `ok`, `condition-failed`, `throttled`, `not-applied` (refused, never sent, or a read
    without an answer), `unknown` (a write without an answer, or a call that was cut off), or `rejected`
    (for what it says). `capacity_units` are the read or write units that DynamoDB says it took, index
    included; it says nothing of calls that failed, although a failed condition takes write units.
    """

    operation: str
    outcome: str
    seconds: float
    capacity_units: float


class Ledger(msgspec.Struct):
    """`own_writes_recovered`: writes whose answer was lost and that were found to have been made;
    `appends_rebased`: appends made anew on what another writer left."""

    calls: list[Call] = []
    own_writes_recovered: int = 0
    appends_rebased: int = 0


_open_ledger: ContextVar[Ledger | None] = ContextVar("open_ledger", default=None)


class opened_ledger:  # noqa: N801
    """Open a ledger for all that the store does in the block, tasks that it starts included."""

    def __enter__(self) -> Ledger:
        ledger = Ledger()
        self._token = _open_ledger.set(ledger)
        return ledger

    def __exit__(self, *_: object) -> None:
        _open_ledger.reset(self._token)


def ledger() -> Ledger:
    """The open ledger; where there is none, one that nobody reads."""
    return _open_ledger.get() or Ledger()
