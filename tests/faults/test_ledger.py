"""What is told of calls that fail."""

import asyncio
from contextlib import suppress

import pytest

from app.domain.errors import PlaylistError
from app.store.ledger import ledger, opened_ledger
from app.store.playlists import PlaylistRepository
from tests.faults.proxy import APPLIED_AND_LOST, NOT_APPLIED_AND_UNKNOWN, Fault, FaultProxy, Script
from tests.faults.test_outcomes import MINE, renamed
from tests.writers import ME

OUTCOMES = {
    Fault.NONE: "ok",
    Fault.DELAY: "ok",
    Fault.THROTTLE: "throttled",
    Fault.TRANSACTION_CONFLICT: "not-applied",
    Fault.CLOCK_SKEW: "not-applied",
    Fault.EXPIRED_TOKEN: "not-applied",
    **dict.fromkeys((*APPLIED_AND_LOST, *NOT_APPLIED_AND_UNKNOWN), "unknown"),
}


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_each_attempt_at_a_write_is_a_call_with_its_outcome(
    faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([fault])

    with opened_ledger() as told, suppress(PlaylistError):
        await faulty.update("p1", renamed, caller=ME)

    reading, first, *_ = told.calls
    assert (reading.operation, reading.outcome, reading.capacity_units) == ("GetItem", "ok", 1.0)
    assert (first.operation, first.outcome) == ("PutItem", OUTCOMES[fault])
    assert (first.capacity_units > 0) == (first.outcome == "ok")
    assert first.seconds > 0
    assert told.own_writes_recovered == fault.applied


async def test_a_deletion_whose_answer_was_lost_is_a_write_recovered(
    faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([Fault.DROP_RESPONSE])

    with opened_ledger() as told:
        await faulty.delete("p1", caller=ME)

    assert told.own_writes_recovered == 1


async def test_a_call_that_was_cut_off_is_of_unknown_outcome(
    faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([Fault.HANG_AFTER])

    with opened_ledger() as told:
        edit = asyncio.create_task(faulty.update("p1", renamed, caller=ME))
        while proxy.writes_seen == 0:  # noqa: ASYNC110 (what is waited for happens in the proxy)
            await asyncio.sleep(0.01)
        edit.cancel()
        await asyncio.gather(edit, return_exceptions=True)

    assert [(call.operation, call.outcome) for call in told.calls] == [("GetItem", "ok"), ("PutItem", "unknown")]


async def test_ledgers_of_requests_at_the_same_time_are_kept_apart(playlists: PlaylistRepository) -> None:
    await playlists.create("p1", MINE, caller=ME)

    async def calls_of(reads: int) -> int:
        with opened_ledger() as told:
            for _ in range(reads):
                await playlists.get("p1")
            return len(told.calls)

    assert await asyncio.gather(*(calls_of(reads) for reads in range(8))) == list(range(8))
    assert not ledger().calls
