"""Each operation beside each kind of write by other programs on the table (contract, section 1)."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

Request = dict[str, Any]
OPERATIONS: dict[str, Request] = {
    "merge patch": {"method": "PATCH", "url": "/playlists/p1", "json": {"playlist_name": "New"}},
    "JSON Patch": {
        "method": "PATCH",
        "url": "/playlists/p1",
        "content": b'[{"op": "add", "path": "/track_tokens/0", "value": "B/1"}]',
        "headers": {"Content-Type": "application/json-patch+json"},
    },
    "replacement": {"method": "PUT", "url": "/playlists/p1", "json": {"playlist_name": "New", "track_tokens": ["B/1"]}},
    "insertion": {"method": "POST", "url": "/playlists/p1/tracks", "json": {"track_tokens": ["B/1"], "position": 0}},
    "append": {"method": "POST", "url": "/playlists/p1/tracks", "json": {"track_tokens": ["B/1"]}},
    "deletion": {"method": "DELETE", "url": "/playlists/p1"},
    "play": {"method": "POST", "url": "/playlists/p1/plays"},
}
COMMUTING = ("append", "play")
Act = Callable[[OtherProgram], object]
WRITES: dict[str, Act] = {
    "an item without our attributes": lambda program: program.put_playlist("p1", playlist_version={"N": "7"}),
    "PutItem, which drops our attributes": lambda program: program.save("p1", "Theirs"),
    "UpdateItem, which keeps them": lambda program: program.rename_in_place("p1", "Theirs"),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS)
each_write = pytest.mark.parametrize("write", WRITES)


@pytest.fixture
async def created(http: httpx2.AsyncClient, other_program: OtherProgram) -> None:
    """p1, made by this service, with an attribute of another program."""
    await http.put("/playlists/p1", json=MINE)
    item = other_program.read("p1")
    assert item is not None
    other_program.put({**item, "genre_name": {"S": "Rock"}})


@each_operation
@each_write
async def test_operation_after_the_write_of_another_program(
    http: httpx2.AsyncClient, created: None, other_program: OtherProgram, operation: str, write: str
) -> None:
    WRITES[write](other_program)
    before = other_program.read("p1")
    assert before is not None

    response = await http.request(**OPERATIONS[operation])

    assert response.is_success
    after = other_program.read("p1")
    if operation == "deletion":
        assert after is None
    elif operation == "play":
        assert after == before
    else:
        assert after is not None
        assert int(after["playlist_version"]["N"]) == int(before["playlist_version"]["N"]) + 1
        assert after["recent_writes"]["L"][1:] == before.get("recent_writes", {"L": []})["L"]
        for name in ("genre_name", "playlist_owner", "created_at"):
            assert after.get(name) == before.get(name)


@each_operation
@each_write
async def test_operation_that_the_write_of_another_program_comes_before(
    http: httpx2.AsyncClient,
    created: None,
    interruptions: Interruptions,
    other_program: OtherProgram,
    operation: str,
    write: str,
) -> None:
    interruptions.before_write = lambda: WRITES[write](other_program)

    response = await http.request(**OPERATIONS[operation])

    kept = other_program.read("p1")
    assert kept is not None
    assert kept["playlist_name"] == {"S": "Theirs"}
    if operation in COMMUTING:
        assert response.is_success
    else:
        assert code_of(response) == (409, "edit-conflict")
        assert response.json()["current"]["playlist_version"] == int(kept["playlist_version"]["N"])
