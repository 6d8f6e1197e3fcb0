"""The list of playlists while DynamoDB fails, and in an index that other programs have filled."""

import time
from collections import deque

import pytest

from app.domain.errors import StorageUnavailable, Throttled
from app.domain.playlist import PlaylistContent
from app.settings import Settings
from app.store.playlists import PlaylistRepository
from tests.faults.proxy import Fault, FaultProxy, Plan
from tests.writers import ME, OtherProgram

REPEATED = [fault for fault in Fault if fault not in (Fault.NONE, Fault.DELAY, Fault.CLOCK_SKEW)]
TOKENS = ["p1", "p2", "p3"]


def failing(*faults: Fault) -> Plan:
    """These faults, one for each query in turn, and none after them."""
    left = deque(faults)

    def plan(operation: str, _: bytes) -> Fault:
        return left.popleft() if operation == "Query" and left else Fault.NONE

    return plan


@pytest.fixture
async def three(playlists: PlaylistRepository) -> None:
    for token in TOKENS:
        await playlists.create(token, PlaylistContent("Mine"), caller=ME)


@pytest.mark.parametrize("fault", REPEATED, ids=lambda fault: fault.name)
async def test_failed_query_is_repeated(
    faulty: PlaylistRepository, three: None, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.plan = failing(fault)

    page = await faulty.list_by_owner("me", limit=2)

    assert [summary.playlist_token for summary in page.items] == ["p1", "p2"]
    assert page.next_after == "p2"


async def test_page_is_whole_where_a_query_fails_in_the_middle_of_it(
    faulty: PlaylistRepository, three: None, proxy: FaultProxy, other_program: OtherProgram
) -> None:
    for number in range(10):
        track = {"partition_key": {"S": "p1"}, "sort_key": {"S": f"TRACK_{number}"}, "playlist_owner": {"S": "me"}}
        other_program.put(track)
    proxy.plan = failing(Fault.NONE, Fault.THROTTLE, Fault.DROP_RESPONSE)

    page = await faulty.list_by_owner("me", limit=2)

    assert [summary.playlist_token for summary in page.items] == ["p1", "p2"]
    assert page.next_after == "p2"


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.THROTTLE, Throttled), (Fault.ERROR_BEFORE, StorageUnavailable), (Fault.HANG_BEFORE, StorageUnavailable)],
    ids=lambda case: getattr(case, "name", ""),
)
async def test_queries_that_all_fail_are_told_within_the_deadline(
    faulty: PlaylistRepository,
    settings: Settings,
    proxy: FaultProxy,
    fault: Fault,
    error: type[Exception],
) -> None:
    proxy.plan = failing(*[fault] * 50)
    begun = time.monotonic()

    with pytest.raises(error):
        await faulty.list_by_owner("me", limit=2)

    assert time.monotonic() - begun < settings.request_deadline_seconds


async def test_many_items_that_are_no_playlists_are_passed_over_in_few_queries(
    faulty: PlaylistRepository, three: None, proxy: FaultProxy, other_program: OtherProgram
) -> None:
    for number in range(200):
        track = {"partition_key": {"S": "album"}, "sort_key": {"S": f"TRACK_{number}"}, "playlist_owner": {"S": "me"}}
        other_program.put(track)
    seen: list[str] = []

    def count(operation: str, _: bytes) -> Fault:
        seen.append(operation)
        return Fault.NONE

    proxy.plan = count

    passing_over = await faulty.list_by_owner("me", limit=1)
    asked_for_passing_over = seen.copy()
    seen.clear()
    straight_on = await faulty.list_by_owner("me", limit=1, after="p1")

    assert [summary.playlist_token for summary in (*passing_over.items, *straight_on.items)] == ["p1", "p2"]
    assert asked_for_passing_over == ["Query", "Query"]
    assert seen == ["Query"]
