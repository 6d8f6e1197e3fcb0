"""Writes that start from a state seen last: one call where it still is the current one, and never another answer."""

import asyncio
import sys

import msgspec
import pytest

from app.domain.access import Caller
from app.domain.errors import EditConflict, Forbidden, PlaylistNotFound, PlaylistTooLarge, PreconditionFailed
from app.domain.idempotency import LogicalWrite
from app.domain.playlist import Playlist, PlaylistContent
from app.domain.preconditions import EntityTags, Preconditions
from app.settings import load_settings
from app.store.attempts import Attempts
from app.store.bases import Bases
from app.store.items import StoredPlaylist
from app.store.ledger import opened_ledger
from app.store.playlists import PlaylistRepository
from tests.conftest import Interruptions
from tests.writers import ME, OtherProgram

WRITE = {"write_token": "new_write_token_", "written_at": "2026-11-24T09:00:00.000Z"}
MINE = PlaylistContent("Mine", ("A/1",))


@pytest.fixture
def warm(interruptions: Interruptions) -> PlaylistRepository:
    return PlaylistRepository(interruptions, Attempts(load_settings()), bases=Bases(2**20, clock=lambda: 0.0))


def rename(playlist: Playlist) -> PlaylistContent:
    return playlist.renamed("Ours")


def with_one_more(playlist: Playlist) -> PlaylistContent:
    return playlist.with_tracks((*playlist.track_tokens, "B/2"))


async def test_write_after_a_write_or_a_read_takes_one_call(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    await warm.create("p1", MINE, caller=ME)
    await playlists.create("p2", MINE, caller=ME)
    await warm.get("p2")

    with opened_ledger() as ledger:
        first = await warm.update("p1", rename, caller=ME)
        second = await warm.update("p1", with_one_more, caller=ME)
        third = await warm.put("p2", PlaylistContent("Ours"), caller=ME)

    assert [call.operation for call in ledger.calls] == ["PutItem"] * 3
    assert (first.playlist.playlist_version, second.playlist.playlist_version) == (2, 3)
    assert second.playlist == await playlists.get("p1")
    assert third.playlist == await playlists.get("p2")


async def test_base_that_is_over_is_no_conflict_and_loses_no_update(
    warm: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await warm.create("p1", MINE, caller=ME)).playlist
    other_program.rename_in_place("p1", "Theirs")

    with opened_ledger() as ledger:
        written = await warm.update("p1", with_one_more, caller=ME)

    assert [(call.operation, call.outcome) for call in ledger.calls] == [
        ("PutItem", "condition-failed"),
        ("PutItem", "ok"),
    ]
    assert written.playlist.playlist_name == "Theirs"
    assert written.playlist.track_tokens == ("A/1", "B/2")
    assert written.playlist.playlist_version == (created.playlist_version or 0) + 2


async def test_playlist_that_others_write_too_is_read_before_the_next_write(
    warm: PlaylistRepository, other_program: OtherProgram
) -> None:
    await warm.create("p1", MINE, caller=ME)
    other_program.rename_in_place("p1", "Theirs")
    await warm.update("p1", with_one_more, caller=ME)

    with opened_ledger() as ledger:
        await warm.update("p1", with_one_more, caller=ME)

    assert [call.operation for call in ledger.calls] == ["GetItem", "PutItem"]


async def test_rival_between_the_write_that_failed_and_the_next_is_a_conflict(
    warm: PlaylistRepository, interruptions: Interruptions, other_program: OtherProgram
) -> None:
    await warm.create("p1", MINE, caller=ME)

    def twice() -> None:
        other_program.rename_in_place("p1", "Theirs")
        interruptions.before_write = lambda: other_program.rename_in_place("p1", "Theirs again")

    interruptions.before_write = twice

    with pytest.raises(EditConflict) as conflict:
        await warm.update("p1", rename, caller=ME)

    assert conflict.value.current is not None
    assert conflict.value.current.playlist_name == "Theirs again"
    assert conflict.value.read is not None
    assert conflict.value.read.playlist_name == "Theirs"


async def test_change_that_changes_nothing_in_the_base_is_written_where_others_have_changed_it(
    warm: PlaylistRepository, other_program: OtherProgram
) -> None:
    await warm.create("p1", MINE, caller=ME)
    other_program.rename_in_place("p1", "Theirs")

    written = await warm.update("p1", lambda playlist: playlist.renamed("Mine"), caller=ME)

    assert (written.playlist.playlist_name, written.playlist.playlist_version) == ("Mine", 3)


async def test_precondition_on_a_state_that_the_base_does_not_know_is_held_against_the_table(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    await warm.create("p1", MINE, caller=ME)
    newer = (await playlists.update("p1", rename, caller=ME)).playlist
    assert newer.entity_tag is not None

    written = await warm.update(
        "p1", with_one_more, caller=ME, preconditions=Preconditions(if_match=EntityTags((newer.entity_tag,)))
    )

    assert written.playlist.playlist_version == 3


async def test_failed_precondition_tells_the_state_of_the_table(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    created = (await warm.create("p1", MINE, caller=ME)).playlist
    assert created.entity_tag is not None
    newer = (await playlists.update("p1", rename, caller=ME)).playlist

    for tag in (created.entity_tag, '"9-another"'):
        with pytest.raises(PreconditionFailed) as refusal:
            await warm.update("p1", with_one_more, caller=ME, preconditions=Preconditions(if_match=EntityTags((tag,))))
        assert refusal.value.current == newer


async def test_playlist_that_others_deleted_is_not_written_again(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    await warm.create("p1", MINE, caller=ME)
    await playlists.delete("p1", caller=ME)

    with pytest.raises(PlaylistNotFound):
        await warm.update("p1", rename, caller=ME)
    with pytest.raises(PlaylistNotFound):
        await playlists.get("p1")


async def test_playlist_that_others_deleted_is_created_by_a_put(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    await warm.create("p1", MINE, caller=ME)
    await playlists.delete("p1", caller=ME)

    written = await warm.put("p1", PlaylistContent("Anew"), caller=ME)

    assert written.is_new
    assert written.playlist.playlist_version == 1


async def test_playlist_made_anew_by_another_owner_is_not_the_callers_to_write(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    alice, bob = Caller(subject="alice"), Caller(subject="bob")
    await warm.create("p1", MINE, caller=alice)
    await playlists.delete("p1", caller=alice)
    await playlists.create("p1", MINE, caller=bob)

    with pytest.raises(Forbidden):
        await warm.update("p1", rename, caller=alice)
    written = await warm.update("p1", rename, caller=bob)
    assert written.playlist.playlist_version == 2


async def test_playlist_that_was_too_large_in_the_base_is_written_where_others_have_made_room(
    warm: PlaylistRepository, other_program: OtherProgram
) -> None:
    await warm.create("p1", MINE, caller=ME)
    item = other_program.read("p1")
    assert item is not None
    other_program.put({**item, "padding": {"S": "x" * 300_000}})
    await warm.get("p1")
    other_program.put(item)
    tracks = tuple(f"A/{number:0100}" for number in range(1_500))

    written = await warm.update("p1", lambda playlist: playlist.with_tracks(tracks), caller=ME)

    assert written.playlist.track_tokens == tracks
    with pytest.raises(PlaylistTooLarge):
        await warm.update("p1", lambda playlist: playlist.with_tracks(3 * tracks), caller=ME)


async def test_repeat_of_a_keyed_write_is_found_on_the_table_too(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    write = LogicalWrite.keyed(caller="me", key="k1", method="PATCH", target="/playlists/p1", body=b"{}")
    await warm.create("p1", MINE, caller=ME)
    await playlists.update("p1", with_one_more, caller=ME, write=write)

    written = await warm.update("p1", with_one_more, caller=ME, write=write)

    assert written.is_repeat
    assert written.playlist.track_tokens == ("A/1", "B/2")


async def test_repeat_of_a_creation_leaves_no_base_that_was_never_on_the_table(
    warm: PlaylistRepository, playlists: PlaylistRepository
) -> None:
    write = LogicalWrite.keyed(caller="me", key="k1", method="POST", target="/playlists", body=b"{}")
    assert write.playlist_token is not None
    first = (await playlists.create(write.playlist_token, MINE, caller=ME, write=write)).playlist
    await asyncio.sleep(0.002)  # A draft of now has another `created_at`.
    assert (await warm.create(write.playlist_token, MINE, caller=ME, write=write)).is_repeat

    written = await warm.update(write.playlist_token, rename, caller=ME)

    assert written.playlist.created_at == first.created_at


async def test_what_others_set_without_raising_the_version_is_kept_by_a_write_a_while_later(
    interruptions: Interruptions, other_program: OtherProgram
) -> None:
    now = 0.0
    warm = PlaylistRepository(interruptions, Attempts(load_settings()), bases=Bases(2**20, clock=lambda: now))
    await warm.create("p1", MINE, caller=ME)
    item = other_program.read("p1")
    assert item is not None
    other_program.put({**item, "artwork": {"S": "new"}})

    now = 1.1
    await warm.update("p1", rename, caller=ME)

    stored = other_program.read("p1")
    assert stored is not None
    assert stored["artwork"] == {"S": "new"}


async def test_playlist_that_was_deleted_here_is_not_kept(warm: PlaylistRepository) -> None:
    await warm.create("p1", MINE, caller=ME)
    await warm.delete("p1", caller=ME)

    with opened_ledger() as ledger, pytest.raises(PlaylistNotFound):
        await warm.update("p1", rename, caller=ME)

    assert [call.operation for call in ledger.calls] == ["GetItem"]


def test_state_with_other_tracks_holds_nothing_of_the_answer_that_it_was_read_from() -> None:
    text = msgspec.json.encode(a_state("p1", tracks=10_000).item)
    references = sys.getrefcount(text)
    stored = StoredPlaylist.from_item(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
    emptied = stored.followed_by(stored.playlist.with_tracks(()), **WRITE)
    del stored

    assert emptied.playlist.track_tokens == ()
    assert sys.getrefcount(text) == references


def test_older_state_does_not_take_the_place_of_a_later_one() -> None:
    bases = Bases(100_000)
    older = a_state("p1")
    later = older.followed_by(older.playlist.renamed("Ours"), write_token="another_token___", written_at="now")
    bases.keep(later)
    bases.keep(older)
    assert bases.young("p1") is later

    bases.shun(older)
    assert bases.young("p1") is later


def test_state_that_was_read_again_is_young_again_and_used_last() -> None:
    now = 0.0
    bases = Bases(10_000, clock=lambda: now)
    bases.keep(a_state("p1"))
    seen = bases.young("p1")
    assert seen is not None

    now = 0.9
    bases.keep(a_state("p2"))
    bases.keep(seen)
    now = 1.8
    bases.keep(a_state("p3"))
    assert bases.young("p1") is seen
    for number in range(10):
        bases.keep(a_state(f"q{number}"))
    assert bases.last_seen("p1") is None


async def test_read_tells_what_others_set_without_raising_the_version(
    warm: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await warm.create("p1", MINE, caller=ME)).playlist
    assert await warm.get("p1") == created
    item = other_program.read("p1")
    assert item is not None
    other_program.put({**item, "playlist_name": {"S": "Theirs"}})

    assert (await warm.get("p1")).playlist_name == "Theirs"


async def test_item_that_names_no_write_of_ours_is_read_before_each_write(
    warm: PlaylistRepository, other_program: OtherProgram
) -> None:
    other_program.put_playlist("p1")
    await warm.get("p1")

    with opened_ledger() as ledger:
        await warm.update("p1", rename, caller=ME)

    assert [call.operation for call in ledger.calls] == ["GetItem", "PutItem"]


def a_state(playlist_token: str, *, tracks: int = 0) -> StoredPlaylist:
    content = PlaylistContent("Mine", tuple(f"A/{number}" for number in range(tracks)))
    return StoredPlaylist.created(playlist_token, content, playlist_owner="me", **WRITE)


def test_cache_keeps_what_was_used_last_within_its_bound() -> None:
    bases = Bases(10_000)
    for number in range(100):
        bases.keep(a_state(f"p{number}"))
        bases.last_seen("p0")

    kept = [number for number in range(100) if bases.young(f"p{number}")]

    assert kept[0] == 0
    assert kept[-1] == 99
    assert 2 <= len(kept) <= 10


def test_state_larger_than_the_cache_is_not_kept_and_drives_nothing_out() -> None:
    bases = Bases(10_000)
    bases.keep(a_state("p1"))
    bases.keep(a_state("p2", tracks=5_000))

    assert bases.young("p1") == a_state("p1")
    assert bases.young("p2") is None


def test_cache_of_no_size_keeps_nothing() -> None:
    bases = Bases(0)
    bases.keep(a_state("p1"))

    assert bases.young("p1") is None


def test_shunned_playlist_is_kept_again_after_a_while() -> None:
    now = 0.0
    bases = Bases(10_000, clock=lambda: now)
    bases.shun(a_state("p1"))
    bases.keep(a_state("p1"))
    assert bases.young("p1") is None

    now = 11.0
    bases.keep(a_state("p1"))
    assert bases.young("p1") == a_state("p1")
