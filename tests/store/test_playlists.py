"""The repository on a real engine. Races are forced in the change function, which runs between read and write."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.access import Caller
from app.domain.errors import (
    EditConflict,
    InvalidPlaylistToken,
    PlaylistExists,
    PlaylistNotFound,
    PlaylistTooLarge,
    PreconditionFailed,
    StorageUnavailable,
    UnwritableItem,
    VersionConflict,
)
from app.domain.patch import TrackInsertion
from app.domain.playlist import Playlist, PlaylistContent
from app.domain.preconditions import EntityTags, Preconditions
from app.settings import load_settings
from app.store.attempts import Attempts, Deadline
from app.store.dynamodb import DynamoDBTable
from app.store.items import ITEM_SIZE_LIMIT, Condition
from app.store.playlists import PlaylistRepository
from app.store.values import Item, encoded_item, item_size
from tests.writers import ME, OtherProgram

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

MINE = PlaylistContent("Mine", ("A/1", "A/2"))


def rename_to(playlist_name: str) -> Callable[[Playlist], PlaylistContent]:
    return lambda playlist: playlist.renamed(playlist_name)


def rename_after(
    act: Callable[[], object], playlist_name: str = "Mine, renamed"
) -> Callable[[Playlist], PlaylistContent]:
    def change(playlist: Playlist) -> PlaylistContent:
        act()
        return playlist.renamed(playlist_name)

    return change


def tag_of(playlist: Playlist) -> EntityTags:
    assert playlist.entity_tag is not None
    return EntityTags.parse(playlist.entity_tag)


async def test_create_writes_what_get_reads(playlists: PlaylistRepository) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist

    assert await playlists.get("p1") == created
    assert (created.playlist_version, created.playlist_owner) == (1, "me")
    assert created.created_at == created.updated_at


async def test_create_refuses_a_token_that_is_taken(playlists: PlaylistRepository) -> None:
    first = (await playlists.create("p1", MINE, caller=ME)).playlist

    with pytest.raises(PlaylistExists) as conflict:
        await playlists.create("p1", PlaylistContent("Second"), caller=ME)

    assert conflict.value.current == first
    assert await playlists.get("p1") == first


async def test_create_refuses_a_token_that_nobody_may_choose(playlists: PlaylistRepository) -> None:
    with pytest.raises(InvalidPlaylistToken):
        await playlists.create("a b", MINE, caller=ME)


async def test_append_whose_turn_does_not_come_in_time_writes_nothing_and_keeps_no_turn(
    client: "DynamoDBClient", table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, attempts = DynamoDBTable(client, table_name), Attempts(load_settings())
    playlists, put_item, may_write = PlaylistRepository(table, attempts), table.put_item, asyncio.Event()
    await playlists.create("p1", MINE, caller=ME)

    async def put_later(item: Item, condition: Condition) -> None:
        await may_write.wait()
        await put_item(item, condition)

    async def append(track_token: str, *, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        monkeypatch.setattr(attempts, "deadline", lambda: Deadline(now + seconds, now + seconds))
        await playlists.update("p1", TrackInsertion(track_tokens=(track_token,)).apply, caller=ME, commutes=True)

    monkeypatch.setattr(table, "put_item", put_later)
    first = asyncio.create_task(append("B/1", seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable) as late:
        async with asyncio.timeout(30):
            await append("B/2", seconds=0.2)
    may_write.set()
    await first
    await append("B/3", seconds=60)

    assert "appends before this one" in str(late.value.cause)
    assert (await playlists.get("p1")).track_tokens == ("A/1", "A/2", "B/1", "B/3")


async def test_get_raises_playlist_not_found(playlists: PlaylistRepository) -> None:
    with pytest.raises(PlaylistNotFound):
        await playlists.get("nobody")


async def test_get_raises_playlist_not_found_for_a_token_longer_than_any_key(playlists: PlaylistRepository) -> None:
    with pytest.raises(PlaylistNotFound):
        await playlists.get("ä" * 1025)


async def test_update_writes_the_next_version(playlists: PlaylistRepository) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist

    updated = (await playlists.update("p1", rename_to("New"), caller=ME)).playlist

    assert updated == await playlists.get("p1")
    assert (updated.playlist_name, updated.playlist_version, updated.track_tokens) == ("New", 2, MINE.track_tokens)
    assert updated.entity_tag != created.entity_tag
    assert updated.created_at == created.created_at


async def test_update_that_changes_nothing_writes_nothing(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist
    before = other_program.read("p1")

    updated = (await playlists.update("p1", rename_to("Mine"), caller=ME)).playlist

    assert updated == created
    assert other_program.read("p1") == before


async def test_update_raises_edit_conflict_when_a_rival_writes_between_read_and_write(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist

    with pytest.raises(EditConflict) as conflict:
        await playlists.update("p1", rename_after(lambda: other_program.rename_in_place("p1", "Rival")), caller=ME)

    assert conflict.value.current is not None
    assert conflict.value.current.playlist_name == "Rival"
    assert conflict.value.read == created
    assert (await playlists.get("p1")).playlist_name == "Rival"


@pytest.mark.parametrize("rivals_version", ["1", "2"])
async def test_update_raises_edit_conflict_when_a_rival_drops_our_attributes(
    playlists: PlaylistRepository, other_program: OtherProgram, rivals_version: str
) -> None:
    await playlists.create("p1", MINE, caller=ME)

    with pytest.raises(EditConflict):
        await playlists.update(
            "p1",
            rename_after(lambda: other_program.put_playlist("p1", playlist_version={"N": rivals_version})),
            caller=ME,
        )

    assert (await playlists.get("p1")).playlist_name == "Theirs"


async def test_update_raises_edit_conflict_after_delete_and_recreation_at_the_same_version(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    item = other_program.read("p1")
    assert item is not None
    recreated = {**item, "playlist_name": {"S": "Another"}, "recent_writes": {"L": [{"S": "another_token___"}]}}

    def delete_and_recreate() -> None:
        other_program.delete("p1")
        other_program.put(recreated)

    with pytest.raises(EditConflict) as conflict:
        await playlists.update("p1", rename_after(delete_and_recreate), caller=ME)

    assert conflict.value.current is not None
    assert conflict.value.current.playlist_version == 1
    assert other_program.read("p1") == recreated


async def test_update_of_an_item_without_a_window_conflicts_with_one_that_has_it(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    other_program.put_playlist("p1")

    def write_at_the_same_version() -> None:
        other_program.put_playlist("p1", recent_writes={"L": [{"S": "another_token___"}]})

    with pytest.raises(EditConflict):
        await playlists.update("p1", rename_after(write_at_the_same_version), caller=ME)


async def test_update_raises_playlist_not_found_when_it_is_deleted_between_read_and_write(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    await playlists.create("p1", MINE, caller=ME)

    with pytest.raises(PlaylistNotFound):
        await playlists.update("p1", rename_after(lambda: other_program.delete("p1")), caller=ME)

    assert other_program.read("p1") is None


async def test_update_raises_precondition_failed_when_if_match_stops_holding_before_the_write(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist

    with pytest.raises(PreconditionFailed) as conflict:
        await playlists.update(
            "p1",
            rename_after(lambda: other_program.rename_in_place("p1", "Rival")),
            preconditions=Preconditions(if_match=tag_of(created)),
            caller=ME,
        )

    assert conflict.value.read == created


async def test_update_raises_version_conflict_when_the_expected_version_passes_before_the_write(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    await playlists.create("p1", MINE, caller=ME)

    with pytest.raises(VersionConflict) as conflict:
        await playlists.update(
            "p1",
            rename_after(lambda: other_program.rename_in_place("p1", "Rival")),
            preconditions=Preconditions(expected_version=1),
            caller=ME,
        )

    assert conflict.value.expected_version == 1


async def test_precondition_is_judged_on_the_current_state_and_not_on_one_that_was_read_before(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    first = (await playlists.create("p1", MINE, caller=ME)).playlist
    await playlists.update("p1", rename_to("Second"), caller=ME)

    with pytest.raises(PreconditionFailed):
        await playlists.update("p1", rename_to("Mine"), caller=ME, preconditions=Preconditions(if_match=tag_of(first)))
    current = await playlists.get("p1")
    other_program.set("p1", playlist_name={"S": "Theirs"})
    with pytest.raises(PreconditionFailed):
        await playlists.update(
            "p1", rename_to("Mine"), caller=ME, preconditions=Preconditions(if_match=tag_of(current))
        )

    assert (await playlists.get("p1")).playlist_name == "Theirs"


async def test_error_of_the_change_is_passed_on_and_nothing_is_written(playlists: PlaylistRepository) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist

    def refuse(_: Playlist) -> PlaylistContent:
        raise LookupError("no")

    with pytest.raises(LookupError):
        await playlists.update("p1", refuse, caller=ME)

    assert await playlists.get("p1") == created


UNUSABLE_VERSIONS = [
    {"N": "1.5"},
    {"N": str(2**63 - 1)},
    {"N": "1E+100"},
    {"S": "1"},
    {"NULL": True},
    {"M": {"version": {"N": "1"}}},
    {"NS": ["1", "2"]},
]


@pytest.mark.parametrize("version", UNUSABLE_VERSIONS)
async def test_item_whose_version_cannot_be_counted_up_is_read_and_not_written(
    playlists: PlaylistRepository, other_program: OtherProgram, version: Any
) -> None:
    other_program.put_playlist("p1", playlist_version=version)
    before = other_program.read("p1")

    assert (await playlists.get("p1")).playlist_version is None
    with pytest.raises(UnwritableItem):
        await playlists.update("p1", rename_to("New"), caller=ME)

    assert other_program.read("p1") == before


@pytest.mark.parametrize("version", UNUSABLE_VERSIONS)
async def test_item_whose_version_cannot_be_counted_up_is_deleted(
    playlists: PlaylistRepository, other_program: OtherProgram, version: Any
) -> None:
    other_program.put_playlist("p1", playlist_version=version)

    await playlists.delete("p1", caller=ME)

    assert other_program.read("p1") is None


async def test_last_version_that_can_be_read_is_reached_and_not_passed(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    other_program.put_playlist("p1", playlist_version={"N": str(2**63 - 3)})

    updated = (await playlists.update("p1", rename_to("New"), caller=ME)).playlist
    with pytest.raises(UnwritableItem):
        await playlists.update("p1", rename_to("Newer"), caller=ME)

    assert updated.playlist_version == 2**63 - 2
    assert await playlists.get("p1") == updated


async def test_first_write_to_an_item_of_another_program_adds_window_and_time_but_no_owner(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    theirs = other_program.put_playlist("p1")

    updated = (await playlists.update("p1", rename_to("New"), caller=ME)).playlist

    item = other_program.read("p1")
    assert item is not None
    assert set(item) == {*theirs, "recent_writes", "updated_at"}
    assert (updated.playlist_owner, updated.created_at) == (None, None)
    assert updated.playlist_version == 2


async def test_item_beyond_our_input_limits_is_read_and_written(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    tracks = {"L": [{"S": "no slash"}, {"S": ""}, {"S": "a/b/c"}]}
    other_program.put_playlist("p1", playlist_name={"S": "x" * 1000}, track_tokens=tracks)

    updated = (await playlists.update("p1", rename_to("New"), caller=ME)).playlist

    item = other_program.read("p1")
    assert item is not None
    assert updated.track_tokens == ("no slash", "", "a/b/c")
    assert item["track_tokens"] == tracks


@pytest.mark.parametrize("window", [{"S": "x"}, {"L": []}, {"L": [{"N": "5"}]}, {"L": [{"S": '"'}]}, {"SS": ["a"]}])
async def test_window_of_an_unknown_form_locks_all_the_same(
    playlists: PlaylistRepository, other_program: OtherProgram, window: Any
) -> None:
    other_program.put_playlist("p1", recent_writes=window)

    with pytest.raises(EditConflict):
        await playlists.update("p1", rename_after(lambda: other_program.rename_in_place("p1", "Rival")), caller=ME)
    updated = (await playlists.update("p1", rename_to("New"), caller=ME)).playlist

    assert updated.playlist_version == 3
    assert updated.write_token is not None


_SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: {"S": text}),
    st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-(10**20), max_value=10**20).map(
        lambda number: {"N": str(number)}
    ),
    st.sampled_from(
        ["9.9999999999999999999999999999999999999E+125", "-1E-130", "12345678901234567890123456789012345678"]
    ).map(lambda number: {"N": number}),
    st.binary(max_size=20).map(lambda data: {"B": data}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
)
_SETS = st.one_of(
    st.sets(st.text("abcäö🎵", min_size=1, max_size=5), min_size=1, max_size=4).map(
        lambda texts: {"SS": sorted(texts)}
    ),
    st.sets(st.integers(-(10**30), 10**30), min_size=1, max_size=4).map(
        lambda ns: {"NS": [str(n) for n in sorted(ns)]}
    ),
    st.sets(st.binary(min_size=1, max_size=5), min_size=1, max_size=4).map(lambda data: {"BS": sorted(data)}),
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS | _SETS,
    lambda values: st.one_of(
        st.lists(values, max_size=4).map(lambda elements: {"L": elements}),
        st.dictionaries(st.text("abcä. #", min_size=1, max_size=5), values, max_size=4).map(
            lambda members: {"M": members}
        ),
    ),
    max_leaves=12,
)
_UNKNOWN = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(lambda name: f"x{name}"),
    _VALUES,
    max_size=6,
)


def in_order_of_sets(value: Any) -> Any:
    """Sets have no order, and the engine does not keep one."""
    match value:
        case {"SS": members} | {"NS": members} | {"BS": members}:
            return sorted(members)
        case dict():
            return {name: in_order_of_sets(member) for name, member in value.items()}
        case list():
            return [in_order_of_sets(member) for member in value]
    return value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(unknown=_UNKNOWN)
async def test_unknown_attributes_survive_a_write_to_the_byte(
    playlists: PlaylistRepository, other_program: OtherProgram, unknown: dict[str, Any]
) -> None:
    other_program.put_playlist("p1", **unknown)
    before = other_program.read("p1")
    assert before is not None

    await playlists.update("p1", rename_to("New"), caller=ME)

    after = other_program.read("p1")
    assert after is not None
    assert {name: in_order_of_sets(after[name]) for name in unknown} == {
        name: in_order_of_sets(before[name]) for name in unknown
    }
    assert after["playlist_name"] == {"S": "New"}


async def test_ten_thousand_tracks_are_written_and_read(playlists: PlaylistRepository) -> None:
    tracks = tuple(f"ALBUM_{n % 1000:06}/TRACK_{n:012}" for n in range(10_000))
    await playlists.create("p1", PlaylistContent("Long", tracks), caller=ME)

    updated = (await playlists.update("p1", lambda playlist: playlist.with_tracks(tracks[::-1]), caller=ME)).playlist

    assert updated.track_tokens == tracks[::-1]
    assert await playlists.get("p1") == updated


async def test_playlist_over_the_item_limit_is_refused_before_the_call(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist
    tracks = tuple(f"{'x' * 128}/{n:0128}" for n in range(1_600))

    with pytest.raises(PlaylistTooLarge) as refusal:
        await playlists.update("p1", lambda playlist: playlist.with_tracks(tracks), caller=ME)

    assert refusal.value.size is not None
    assert refusal.value.size > refusal.value.limit == ITEM_SIZE_LIMIT
    assert await playlists.get("p1") == created


async def test_item_of_exactly_the_limit_is_written_and_one_byte_more_is_refused(
    playlists: PlaylistRepository, other_program: OtherProgram
) -> None:
    created = (await playlists.create("p1", PlaylistContent("Mine"), caller=ME)).playlist
    item = other_program.read("p1")
    assert item is not None
    # Room for one element of the track list, and none for a second token in the window.
    room = ITEM_SIZE_LIMIT - item_size(encoded_item(item)) - len("padding") - 1 - len("A/1")
    other_program.put({**item, "padding": {"S": "x" * room}})

    updated = (await playlists.update("p1", lambda playlist: playlist.with_tracks(("A/1",)), caller=ME)).playlist
    with pytest.raises(PlaylistTooLarge):
        await playlists.update("p1", lambda playlist: playlist.with_tracks(("A/12",)), caller=ME)

    stored = other_program.read("p1")
    assert stored is not None
    assert item_size(encoded_item(stored)) == ITEM_SIZE_LIMIT
    assert updated.entity_tag != created.entity_tag
    assert len(stored["recent_writes"]["L"]) == 1


async def test_put_creates_and_then_replaces_keeping_the_owner(playlists: PlaylistRepository) -> None:
    created = await playlists.put("p1", lambda _: MINE, caller=ME)
    replaced = await playlists.put(
        "p1", lambda _: PlaylistContent("Second"), caller=Caller(subject="you", is_admin=True)
    )

    assert (created.created, replaced.created) == (True, False)
    kept = replaced.playlist
    assert (kept.playlist_name, kept.track_tokens, kept.playlist_version) == ("Second", (), 2)
    assert (kept.playlist_owner, kept.created_at) == ("me", created.playlist.created_at)


async def test_delete_removes_the_playlist(playlists: PlaylistRepository, other_program: OtherProgram) -> None:
    await playlists.create("p1", MINE, caller=ME)

    await playlists.delete("p1", caller=ME)

    assert other_program.read("p1") is None
    with pytest.raises(PlaylistNotFound):
        await playlists.delete("p1", caller=ME)


async def test_recreated_playlist_has_another_entity_tag(playlists: PlaylistRepository) -> None:
    first = (await playlists.create("p1", MINE, caller=ME)).playlist
    await playlists.delete("p1", caller=ME)

    second = (await playlists.create("p1", MINE, caller=ME)).playlist

    assert second.playlist_version == first.playlist_version
    assert second.entity_tag != first.entity_tag
    with pytest.raises(PreconditionFailed):
        await playlists.update("p1", rename_to("New"), preconditions=Preconditions(if_match=tag_of(first)), caller=ME)
    with pytest.raises(PreconditionFailed):
        await playlists.delete("p1", preconditions=Preconditions(if_match=tag_of(first)), caller=ME)
    assert await playlists.get("p1") == second
