"""What is sent again takes effect once: idempotency keys and play counts under lost answers."""

import random
from collections.abc import Awaitable, Callable

import pytest

from app.domain.errors import Conflict, OutcomeUnknown, StorageUnavailable, Throttled
from app.domain.idempotency import LogicalWrite
from app.domain.patch import TrackInsertion
from app.settings import Settings
from app.store.attempts import Attempts
from app.store.playlists import PlaylistRepository
from app.store.plays import PlayCounters
from tests.faults.proxy import APPLIED_AND_LOST, NOT_APPLIED_AND_UNKNOWN, Fault, FaultProxy, RandomPlan, Script
from tests.faults.test_outcomes import LOST, MINE, renamed
from tests.writers import ME

UNKNOWN = pytest.mark.parametrize("fault", [*APPLIED_AND_LOST, *NOT_APPLIED_AND_UNKNOWN], ids=lambda fault: fault.name)


@pytest.fixture
def counters(faulty: PlaylistRepository, settings: Settings) -> PlayCounters:
    """Counters behind the proxy."""
    return PlayCounters(faulty._table, Attempts(settings))


def keyed(key: str) -> LogicalWrite:
    return LogicalWrite.keyed(caller="me", key=key, method="POST", target="/playlists/p1", body=b"")


async def repeated_until_answered(send: Callable[[], Awaitable[object]]) -> int:
    """Send until there is an answer that is none of a failure; returns how often it was sent."""
    for sent in range(1, 50):
        try:
            await send()
        except (OutcomeUnknown, StorageUnavailable, Throttled, Conflict):
            continue
        return sent
    raise AssertionError("never answered")


@pytest.mark.parametrize("seed", range(4))
async def test_keyed_appends_that_are_repeated_until_answered_take_effect_once_each(
    faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, seed: int
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = RandomPlan(seed, rate=0.6, hang=False)
    random.seed(seed)
    sent = 0

    for number in range(12):
        append = TrackInsertion(track_tokens=(f"B/{number}",)).apply
        write = keyed(f"{seed} {number}")

        async def send(append=append, write=write) -> object:  # type: ignore[no-untyped-def]
            return await faulty.update("p1", append, write=write, commutes=True, caller=ME)

        sent += await repeated_until_answered(send)

    kept = await playlists.get("p1")
    assert kept.track_tokens == (*MINE.track_tokens, *(f"B/{number}" for number in range(12)))
    assert kept.playlist_version == 13
    assert sent > 12, "no request had to be repeated: the faults are too few to show anything"


@LOST
async def test_keyed_creation_whose_answer_was_lost_makes_one_playlist(
    faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
) -> None:
    write = keyed("k1")
    assert write.playlist_token is not None
    lost = Script([fault])
    # The counter is looked for first; the read that would settle what became of the write fails.
    proxy.plan = lambda operation, content: Fault.ERROR_BEFORE if proxy.writes_seen else lost(operation, content)
    with pytest.raises(OutcomeUnknown):
        await faulty.create(write.playlist_token, MINE, caller=ME, write=write)
    proxy.plan = Script([])

    again = await faulty.create(write.playlist_token, MINE, caller=ME, write=write)

    assert again.replayed
    assert again.playlist == await playlists.get(write.playlist_token)
    assert again.playlist.playlist_version == 1


@LOST
async def test_keyed_write_whose_answer_was_lost_is_no_repeat_if_the_request_itself_finds_it(
    faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([fault])

    written = await faulty.update("p1", renamed, write=keyed("k1"), caller=ME)

    assert not written.replayed
    assert written.playlist == await playlists.get("p1")


@UNKNOWN
async def test_play_of_unknown_outcome_is_told_and_not_repeated(
    counters: PlayCounters, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([fault])

    with pytest.raises(OutcomeUnknown, match="may count it twice"):
        await counters.count("p1", write=LogicalWrite.unkeyed())

    assert proxy.writes_seen == 1
    assert await counters.get("p1") == fault.applied


@pytest.mark.parametrize("fault", [Fault.THROTTLE, Fault.TRANSACTION_CONFLICT], ids=lambda fault: fault.name)
async def test_play_that_was_refused_is_repeated(
    counters: PlayCounters, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([fault])

    assert await counters.count("p1", write=LogicalWrite.unkeyed()) == 1


@UNKNOWN
async def test_keyed_play_is_counted_once_whatever_happens_to_its_answers(
    counters: PlayCounters, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([fault])

    assert await counters.count("p1", write=keyed("k1")) == 1

    assert await counters.get("p1") == 1
    assert proxy.writes_seen == 2


async def test_keyed_play_whose_count_cannot_be_read_is_not_told_as_not_counted(
    counters: PlayCounters, playlists: PlaylistRepository, proxy: FaultProxy
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = lambda operation, _: Fault.ERROR_BEFORE if operation == "GetItem" and proxy.writes_seen else Fault.NONE

    with pytest.raises(OutcomeUnknown):
        await counters.count("p1", write=keyed("k1"))
    proxy.plan = Script([])

    assert await counters.count("p1", write=keyed("k1")) == 1


async def test_deletion_whose_counter_cannot_be_deleted_is_made_and_the_counter_is_not_taken_over(
    faulty: PlaylistRepository, counters: PlayCounters, playlists: PlaylistRepository, proxy: FaultProxy
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    await counters.count("p1", write=LogicalWrite.unkeyed())
    proxy.plan = Script([Fault.NONE, *[Fault.THROTTLE] * 10])

    await faulty.delete("p1", caller=ME)
    proxy.plan = Script([])
    await faulty.put("p1", lambda _: MINE, caller=ME)

    assert await counters.get("p1") == 0
