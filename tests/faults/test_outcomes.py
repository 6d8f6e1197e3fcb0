"""Every answer is true: forced interleavings of lost answers, other writers, and our own retries."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import pytest

from app.domain.errors import (
    EditConflict,
    OutcomeUnknown,
    PlaylistError,
    PlaylistExists,
    PlaylistNotFound,
    StorageUnavailable,
    Throttled,
)
from app.domain.playlist import Playlist, PlaylistContent
from app.settings import Settings
from app.store.attempts import Attempts
from app.store.client import open_client
from app.store.dynamodb import DynamoDBTable
from app.store.playlists import PlaylistRepository
from tests.faults.proxy import APPLIED_AND_LOST, NOT_APPLIED_AND_UNKNOWN, Fault, FaultProxy, Script
from tests.writers import ME, Item, OtherProgram

MINE = PlaylistContent("Mine", ("A/1",))
LOST = pytest.mark.parametrize("fault", APPLIED_AND_LOST, ids=lambda fault: fault.name)


def renamed(playlist: Playlist) -> PlaylistContent:
    return playlist.renamed("Ours")


def our_writes(other_program: OtherProgram, count: int) -> Callable[[], None]:
    """As many writes by other instances of this service: each raises the version and enters the window."""

    def write() -> None:
        item = other_program.read("p1")
        assert item is not None
        for number in range(count):
            window = [{"S": f"other_token_{number:04}"}, *item["recent_writes"]["L"]][:16]
            version = int(item["playlist_version"]["N"]) + 1
            item |= {
                "playlist_version": {"N": str(version)},
                "playlist_name": {"S": f"Other {number}"},
                "recent_writes": {"L": window},
            }
        other_program.put(item)

    return write


def recreated_at(other_program: OtherProgram, version: int) -> Callable[[], None]:
    """Another instance deletes the playlist and makes it again."""

    def recreate() -> None:
        item = other_program.read("p1")
        assert item is not None
        other_program.delete("p1")
        other_program.put(
            {
                **item,
                "playlist_name": {"S": "Another"},
                "playlist_version": {"N": str(version)},
                "recent_writes": {"L": [{"S": "another_creation"}]},
                "created_at": {"S": "2030-01-01T00:00:00.000Z"},
            }
        )

    return recreate


class TestUpdate:
    @LOST
    async def test_own_write_whose_answer_was_lost_is_success(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([fault])

        answered = (await faulty.update("p1", renamed, caller=ME)).playlist

        assert answered == await playlists.get("p1")
        assert (answered.playlist_name, answered.playlist_version) == ("Ours", 2)

    @pytest.mark.parametrize("fault", NOT_APPLIED_AND_UNKNOWN, ids=lambda fault: fault.name)
    async def test_write_that_got_lost_on_its_way_is_made_by_the_retry(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([fault])

        assert (await faulty.update("p1", renamed, caller=ME)).playlist.playlist_version == 2
        assert (await playlists.get("p1")).playlist_name == "Ours"

    @pytest.mark.parametrize("count", [1, 15])
    @LOST
    async def test_own_write_is_success_also_when_others_have_written_since(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
        fault: Fault,
        count: int,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([fault, Fault.THROTTLE], after={0: our_writes(other_program, count)})
        if fault is Fault.HANG_AFTER:
            # The act comes when the hanging ends; there is no gap to act in.
            proxy.plan = Script([Fault.DROP_RESPONSE], after={0: our_writes(other_program, count)})

        answered = (await faulty.update("p1", renamed, caller=ME)).playlist

        assert (answered.playlist_name, answered.playlist_version) == ("Ours", 2)
        assert (await playlists.get("p1")).playlist_version == 2 + count

    @pytest.mark.parametrize("count", [16, 17])
    async def test_own_write_pushed_out_of_the_window_has_an_unknown_outcome(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
        count: int,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.DROP_RESPONSE], after={0: our_writes(other_program, count)})

        with pytest.raises(OutcomeUnknown):
            await faulty.update("p1", renamed, caller=ME)

    @pytest.mark.parametrize("count", [1, 15])
    async def test_rival_is_a_conflict_where_the_window_proves_that_ours_never_landed(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
        count: int,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.RESET_BEFORE], after={0: our_writes(other_program, count)})

        with pytest.raises(EditConflict) as conflict:
            await faulty.update("p1", renamed, caller=ME)

        assert conflict.value.current == await playlists.get("p1")

    async def test_rival_is_a_conflict_where_the_version_proves_that_ours_never_landed(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
    ) -> None:
        # The first write of ours to the item: there is no token that the window could still hold.
        other_program.put_playlist("p1", created_at={"S": "2026-01-01T00:00:00.000Z"})
        proxy.plan = Script([Fault.RESET_BEFORE], after={0: lambda: other_program.rename_in_place("p1", "Rival")})

        with pytest.raises(EditConflict):
            await faulty.update("p1", renamed, caller=ME)

    async def test_sixteen_rivals_prove_nothing(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.RESET_BEFORE], after={0: our_writes(other_program, 16)})

        with pytest.raises(OutcomeUnknown):
            await faulty.update("p1", renamed, caller=ME)

    @pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.RESET_BEFORE], ids=lambda fault: fault.name)
    @pytest.mark.parametrize("act", ["PutItem by another program", "delete", "delete and re-creation"])
    async def test_what_hides_the_window_leaves_the_outcome_unknown(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
        fault: Fault,
        act: str,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        acts: dict[str, Callable[[], object]] = {
            "PutItem by another program": lambda: other_program.put_playlist("p1", playlist_version={"N": "2"}),
            "delete": lambda: other_program.delete("p1"),
            "delete and re-creation": recreated_at(other_program, 2),
        }
        proxy.plan = Script([fault], after={0: acts[act]})

        with pytest.raises(OutcomeUnknown):
            await faulty.update("p1", renamed, caller=ME)

    # At the first version our condition would hold once more, so that a retry would overwrite the new playlist.
    @pytest.mark.parametrize("version", ["1", "2"])
    async def test_recreation_by_a_program_without_our_attributes_proves_nothing(
        self, faulty: PlaylistRepository, proxy: FaultProxy, other_program: OtherProgram, version: str
    ) -> None:
        other_program.put_playlist("p1", playlist_version={"N": "1"})

        def recreate() -> None:
            other_program.delete("p1")
            other_program.put_playlist("p1", playlist_version={"N": version})

        proxy.plan = Script([Fault.DROP_RESPONSE], after={0: recreate})

        with pytest.raises(OutcomeUnknown):
            await faulty.update("p1", renamed, caller=ME)

    async def test_item_that_has_lost_its_version_meanwhile_leaves_the_outcome_unknown(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script(
            [Fault.DROP_RESPONSE, *[Fault.THROTTLE] * 10],
            after={0: lambda: other_program.put_playlist("p1", playlist_version=None)},
        )

        with pytest.raises(OutcomeUnknown):
            await faulty.update("p1", renamed, caller=ME)

    async def test_conflict_with_no_lost_attempt_needs_no_proof(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.THROTTLE], after={0: lambda: other_program.put_playlist("p1")})

        with pytest.raises(EditConflict):
            await faulty.update("p1", renamed, caller=ME)

    @LOST
    async def test_retries_that_are_all_throttled_after_an_applied_attempt_still_end_in_success(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([fault, *[Fault.THROTTLE] * 10])

        assert (await faulty.update("p1", renamed, caller=ME)).playlist.playlist_version == 2
        assert (await playlists.get("p1")).playlist_version == 2

    async def test_unknown_outcome_is_never_told_as_a_throttling(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.HANG_BEFORE, *[Fault.THROTTLE] * 10])

        with pytest.raises(OutcomeUnknown):
            await faulty.update("p1", renamed, caller=ME)

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault.THROTTLE, Throttled),
            (Fault.TRANSACTION_CONFLICT, StorageUnavailable),
            (Fault.CLOCK_SKEW, StorageUnavailable),
        ],
        ids=lambda case: getattr(case, "name", ""),
    )
    async def test_refusals_alone_are_told_as_not_applied(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        fault: Fault,
        error: type[PlaylistError],
    ) -> None:
        created = (await playlists.create("p1", MINE, caller=ME)).playlist
        proxy.plan = Script([fault] * 20)

        with pytest.raises(error):
            await faulty.update("p1", renamed, caller=ME)

        assert await playlists.get("p1") == created

    async def test_conflict_of_transactions_is_retried(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.TRANSACTION_CONFLICT, Fault.THROTTLE])

        assert (await faulty.update("p1", renamed, caller=ME)).playlist.playlist_version == 2


class TestCreate:
    @LOST
    async def test_own_creation_whose_answer_was_lost_is_success(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
    ) -> None:
        proxy.plan = Script([fault])

        created = await faulty.create("p1", MINE, caller=ME)

        assert created.playlist == await playlists.get("p1")

    async def test_creation_that_was_lost_and_then_deleted_by_another_is_not_made_again(
        self, faulty: PlaylistRepository, proxy: FaultProxy, other_program: OtherProgram
    ) -> None:
        proxy.plan = Script([Fault.DROP_RESPONSE], after={0: lambda: other_program.delete("p1")})

        with pytest.raises(OutcomeUnknown):
            await faulty.create("p1", MINE, caller=ME)

        assert other_program.read("p1") is None

    async def test_creation_by_another_after_a_lost_attempt_leaves_the_outcome_unknown(
        self, faulty: PlaylistRepository, proxy: FaultProxy, other_program: OtherProgram
    ) -> None:
        proxy.plan = Script([Fault.RESET_BEFORE], after={0: lambda: other_program.put_playlist("p1")})

        with pytest.raises(OutcomeUnknown):
            await faulty.create("p1", MINE, caller=ME)

    async def test_creation_by_another_is_a_conflict_if_no_attempt_was_lost(
        self, faulty: PlaylistRepository, proxy: FaultProxy, other_program: OtherProgram
    ) -> None:
        proxy.plan = Script([Fault.THROTTLE], after={0: lambda: other_program.put_playlist("p1")})

        with pytest.raises(PlaylistExists):
            await faulty.create("p1", MINE, caller=ME)


class TestDelete:
    @LOST
    async def test_own_deletion_whose_answer_was_lost_is_success(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([fault])

        await faulty.delete("p1", caller=ME)

        with pytest.raises(PlaylistNotFound):
            await playlists.get("p1")

    @LOST
    async def test_own_deletion_is_success_also_when_all_retries_are_throttled(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy, fault: Fault
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([fault, *[Fault.THROTTLE] * 10])

        await faulty.delete("p1", caller=ME)

    async def test_deletion_by_another_is_not_found_if_no_attempt_was_lost(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.THROTTLE], after={0: lambda: other_program.delete("p1")})

        with pytest.raises(PlaylistNotFound):
            await faulty.delete("p1", caller=ME)

    async def test_rival_is_a_conflict_where_the_window_proves_that_nothing_was_deleted(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        proxy.plan = Script([Fault.RESET_BEFORE], after={0: our_writes(other_program, 1)})

        with pytest.raises(EditConflict):
            await faulty.delete("p1", caller=ME)

    @pytest.mark.parametrize("version", [1, 2])
    async def test_recreation_after_a_lost_deletion_leaves_the_outcome_unknown_and_survives(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        other_program: OtherProgram,
        version: int,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        before: Item | None = other_program.read("p1")
        assert before is not None

        def recreate() -> None:
            other_program.put(
                {
                    **before,
                    "playlist_version": {"N": str(version)},
                    "recent_writes": {"L": [{"S": "another_creation"}]},
                    "created_at": {"S": "2030-01-01T00:00:00.000Z"},
                }
            )

        proxy.plan = Script([Fault.DROP_RESPONSE], after={0: recreate})

        with pytest.raises(OutcomeUnknown):
            await faulty.delete("p1", caller=ME)

        assert other_program.read("p1") is not None

    async def test_lost_deletion_is_not_repeated_on_a_playlist_that_was_made_anew_at_the_same_version(
        self, faulty: PlaylistRepository, proxy: FaultProxy, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1")
        proxy.plan = Script([Fault.DROP_RESPONSE], after={0: lambda: other_program.put_playlist("p1")})

        with pytest.raises(OutcomeUnknown):
            await faulty.delete("p1", caller=ME)

        assert other_program.read("p1") is not None


class TestDeadline:
    # The second is so long that nothing but the deadline can end an attempt.
    @pytest.fixture(params=[0.3, 10], ids=["short read time-out", "long read time-out"])
    def settings(self, request: pytest.FixtureRequest, settings: Settings) -> Settings:
        return settings.model_copy(update={"read_timeout_seconds": request.param})

    @pytest.mark.parametrize("hanging", ["reads", "writes", "all"])
    async def test_request_ends_by_its_deadline_whatever_hangs(
        self,
        faulty: PlaylistRepository,
        playlists: PlaylistRepository,
        proxy: FaultProxy,
        settings: Settings,
        hanging: str,
    ) -> None:
        await playlists.create("p1", MINE, caller=ME)
        reads = Fault.NONE if hanging == "writes" else Fault.HANG_BEFORE
        proxy.plan = Script([] if hanging == "reads" else [Fault.HANG_AFTER] * 50, reads=reads)
        started = time.monotonic()

        with pytest.raises(PlaylistError) if hanging != "writes" else nullcontext():
            await faulty.update("p1", renamed, caller=ME)

        # Not a measurement: the contract's bound, with room for a slow machine.
        assert time.monotonic() - started < settings.request_deadline_seconds * 1.1 + 0.3


async def test_write_that_was_never_connected_is_known_not_to_be_made(
    settings: Settings, table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener whose backlog is full: connections to it are never made, and never refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{address[1]}")
        short = settings.model_copy(update={"connect_timeout_seconds": 0.4})
        async with open_client(short) as client:
            unreachable = PlaylistRepository(DynamoDBTable(client, table_name), Attempts(short))

            with pytest.raises(StorageUnavailable):
                await unreachable.create("p1", MINE, caller=ME)
        for filler in fillers:
            filler.close()


class TestTime:
    async def test_read_is_repeated_after_every_fault(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy
    ) -> None:
        created = (await playlists.create("p1", MINE, caller=ME)).playlist
        for fault in Fault:
            if fault is Fault.CLOCK_SKEW:
                continue
            faults = iter([fault])
            proxy.plan = lambda *_, faults=faults: next(faults, Fault.NONE)

            assert await faulty.get("p1") == created

    async def test_cancelled_request_leaves_the_playlist_whole_and_no_task_behind(
        self, faulty: PlaylistRepository, playlists: PlaylistRepository, proxy: FaultProxy
    ) -> None:
        created = (await playlists.create("p1", MINE, caller=ME)).playlist
        names = {"Mine"}
        for delay in (0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032):
            proxy.plan = Script([Fault.HANG_AFTER])
            name = f"Cancelled after {delay}"
            names.add(name)
            change = partial(Playlist.renamed, playlist_name=name)
            request = asyncio.create_task(faulty.update("p1", change, caller=ME))
            await asyncio.sleep(delay)
            request.cancel()

            with pytest.raises(asyncio.CancelledError):
                await request

            assert not tasks_of_the_service()
        playlist = await playlists.get("p1")
        assert playlist.playlist_name in names
        assert playlist.track_tokens == created.track_tokens
        assert (await faulty.update("p1", renamed, caller=ME)).playlist.playlist_name == "Ours"


def tasks_of_the_service() -> "set[asyncio.Task[object]]":
    """The tasks under way that run code of the service or its client."""
    packages = ("/app/", "/aiobotocore/", "/aiohttp/")
    return {
        task
        for task in asyncio.all_tasks() - {asyncio.current_task()}
        if any(package in str(getattr(task.get_coro(), "cr_code", None)) for package in packages)
    }
