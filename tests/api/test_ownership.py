"""Whose playlist it is: only the owner or an admin writes it, and when that is looked at."""

from typing import Any

import httpx2
import pytest

from app.settings import Settings
from tests.api.test_other_writers import OPERATIONS, Request
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.issuer import Issuer
from tests.writers import Item, OtherProgram

WRITES = {name: request for name, request in OPERATIONS.items() if name != "play"}
each_write = pytest.mark.parametrize("operation", WRITES)


@pytest.fixture
def settings(table_name: str, issuer: Issuer) -> Settings:
    return issuer.settings(table_name=table_name)


class Client:
    """Someone with a token."""

    def __init__(self, http: httpx2.AsyncClient, token: str) -> None:
        self._http = http
        self._token = token

    async def send(self, request: Request, **headers: str) -> httpx2.Response:
        sent = {**request.get("headers", {}), "Authorization": f"Bearer {self._token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._http.request(**{**request, "headers": sent})


@pytest.fixture
def alice(http: httpx2.AsyncClient, issuer: Issuer) -> Client:
    return Client(http, issuer.token(sub="alice"))


@pytest.fixture
def bob(http: httpx2.AsyncClient, issuer: Issuer) -> Client:
    return Client(http, issuer.token(sub="bob"))


@pytest.fixture
def admin(http: httpx2.AsyncClient, issuer: Issuer) -> Client:
    return Client(http, issuer.token(sub="root", scope="playlists:admin"))


CREATE: Request = {"method": "PUT", "url": "/playlists/p1", "json": MINE}
READ: Request = {"method": "GET", "url": "/playlists/p1"}
PLAY: Request = OPERATIONS["play"]
OF_BOB: Item = {"playlist_owner": {"S": "bob"}, "recent_writes": {"L": [{"S": "another_token___"}]}}


@pytest.fixture
async def created(alice: Client) -> httpx2.Response:
    """p1, of alice."""
    response = await alice.send(CREATE)
    assert response.status_code == 201
    return response


def put_of_bob(other_program: OtherProgram) -> None:
    """p1 as bob has made it anew after a deletion, at the same version."""
    other_program.delete("p1")
    other_program.put_playlist("p1", playlist_name={"S": "Bob's"}, **OF_BOB)


def named(other_program: OtherProgram) -> str | None:
    item = other_program.read("p1")
    return None if item is None else item["playlist_name"]["S"]


class TestOwned:
    @each_write
    async def test_another_caller_may_not_write(
        self, created: httpx2.Response, bob: Client, other_program: OtherProgram, operation: str
    ) -> None:
        before = other_program.read("p1")

        response = await bob.send(WRITES[operation])

        assert code_of(response) == (403, "forbidden")
        assert "WWW-Authenticate" not in response.headers
        assert "alice" not in response.text
        assert other_program.read("p1") == before

    @each_write
    async def test_owner_may_write(self, created: httpx2.Response, alice: Client, operation: str) -> None:
        assert (await alice.send(WRITES[operation])).is_success

    @each_write
    async def test_admin_may_write_and_the_owner_stays(
        self, created: httpx2.Response, admin: Client, other_program: OtherProgram, operation: str
    ) -> None:
        assert (await admin.send(WRITES[operation])).is_success

        item = other_program.read("p1")
        assert item is None or item["playlist_owner"] == {"S": "alice"}

    async def test_anyone_may_read_and_play(self, created: httpx2.Response, bob: Client) -> None:
        read = await bob.send(READ)
        played = await bob.send(PLAY)
        counted = await bob.send({"method": "GET", "url": "/playlists/p1/plays"})

        assert [answer.status_code for answer in (read, played, counted)] == [200, 200, 200]
        assert counted.json()["play_count"] == 1

    @each_write
    async def test_playlist_that_another_owner_makes_anew_before_the_write_is_theirs(
        self,
        created: httpx2.Response,
        alice: Client,
        interruptions: Interruptions,
        other_program: OtherProgram,
        operation: str,
    ) -> None:
        interruptions.before_write = lambda: put_of_bob(other_program)

        response = await alice.send(WRITES[operation])

        assert code_of(response) == (403, "forbidden")
        assert named(other_program) == "Bob's"

    @each_write
    async def test_so_it_is_where_a_precondition_fails_too(
        self,
        created: httpx2.Response,
        alice: Client,
        interruptions: Interruptions,
        other_program: OtherProgram,
        operation: str,
    ) -> None:
        interruptions.before_write = lambda: put_of_bob(other_program)

        response = await alice.send(WRITES[operation], If_Match=created.headers["ETag"])

        assert code_of(response) == (403, "forbidden")

    @pytest.mark.parametrize("preconditions", [{}, {"If_None_Match": "*"}], ids=str)
    async def test_creation_that_loses_to_another_owner_is_forbidden(
        self,
        alice: Client,
        interruptions: Interruptions,
        other_program: OtherProgram,
        preconditions: dict[str, str],
    ) -> None:
        interruptions.before_write = lambda: put_of_bob(other_program)

        response = await alice.send(CREATE, **preconditions)

        assert code_of(response) == (403, "forbidden")
        assert named(other_program) == "Bob's"

    async def test_creation_that_loses_to_the_same_owner_is_a_conflict(
        self, alice: Client, interruptions: Interruptions, other_program: OtherProgram
    ) -> None:
        def alice_elsewhere() -> None:
            other_program.put_playlist("p1", playlist_owner={"S": "alice"})

        interruptions.before_write = alice_elsewhere

        assert code_of(await alice.send(CREATE)) == (409, "playlist-exists")


class TestOwnerless:
    @pytest.fixture(params=["admin", "any"])
    def settings(self, request: Any, table_name: str, issuer: Issuer) -> Settings:
        return issuer.settings(table_name=table_name, ownerless_writes=request.param)

    @each_write
    async def test_playlist_of_another_program_is_written_by_whom_the_settings_let(
        self, settings: Settings, alice: Client, admin: Client, other_program: OtherProgram, operation: str
    ) -> None:
        other_program.put_playlist("p1")

        by_alice = await alice.send(WRITES[operation])
        if settings.ownerless_writes == "any":
            assert by_alice.is_success
            return
        by_admin = await admin.send(WRITES[operation])

        assert code_of(by_alice) == (403, "forbidden")
        assert by_admin.is_success

    async def test_write_makes_nobody_the_owner(self, admin: Client, other_program: OtherProgram) -> None:
        other_program.put_playlist("p1")

        renamed = await admin.send(WRITES["merge patch"])

        assert renamed.json()["playlist_owner"] is None

    @each_write
    async def test_owner_that_another_program_drops_before_the_write_counts_no_more(
        self,
        settings: Settings,
        created: httpx2.Response,
        alice: Client,
        interruptions: Interruptions,
        other_program: OtherProgram,
        operation: str,
    ) -> None:
        interruptions.before_write = lambda: other_program.save("p1", "Theirs")

        response = await alice.send(WRITES[operation])

        if settings.ownerless_writes == "admin":
            assert code_of(response) == (403, "forbidden")
        elif operation == "append":
            assert response.is_success
        else:
            assert code_of(response) == (409, "edit-conflict")
        assert named(other_program) == "Theirs"

    async def test_owned_playlists_stay_their_owners(self, created: httpx2.Response, bob: Client) -> None:
        assert code_of(await bob.send(WRITES["merge patch"])) == (403, "forbidden")


class TestOrder:
    @pytest.mark.parametrize("operation", [name for name in WRITES if name != "replacement"])
    async def test_missing_playlist_is_nobodys(self, bob: Client, operation: str) -> None:
        assert code_of(await bob.send(WRITES[operation])) == (404, "playlist-not-found")

    async def test_validation_comes_before_the_owner(self, created: httpx2.Response, bob: Client) -> None:
        response = await bob.send({"method": "PATCH", "url": "/playlists/p1", "json": {"playlist_name": 1}})

        assert code_of(response) == (422, "invalid-request")

    async def test_owner_comes_before_what_may_be_in_the_playlist_already(
        self, created: httpx2.Response, bob: Client
    ) -> None:
        response = await bob.send({"method": "PATCH", "url": "/playlists/p1", "json": {"playlist_name": ""}})

        assert code_of(response) == (403, "forbidden")

    @each_write
    async def test_owner_comes_before_preconditions(
        self, created: httpx2.Response, bob: Client, operation: str
    ) -> None:
        response = await bob.send(WRITES[operation], If_Match='"stale"')

        assert code_of(response) == (403, "forbidden")

    async def test_owner_comes_before_the_expected_version(self, created: httpx2.Response, bob: Client) -> None:
        stale = {"method": "PATCH", "url": "/playlists/p1", "json": {"playlist_name": "New", "playlist_version": 7}}

        assert code_of(await bob.send(stale)) == (403, "forbidden")

    async def test_owner_comes_before_a_change_that_changes_nothing(
        self, created: httpx2.Response, bob: Client
    ) -> None:
        assert code_of(await bob.send(CREATE)) == (403, "forbidden")

    async def test_owner_comes_before_an_unwritable_item(self, bob: Client, other_program: OtherProgram) -> None:
        other_program.put_playlist("p1", playlist_owner={"S": "alice"}, playlist_version={"S": "1"})

        assert code_of(await bob.send(WRITES["merge patch"])) == (403, "forbidden")
        assert code_of(await bob.send(WRITES["deletion"])) == (403, "forbidden")

    async def test_owner_comes_before_the_replay_of_a_key(
        self, created: httpx2.Response, alice: Client, other_program: OtherProgram
    ) -> None:
        rename = WRITES["merge patch"]
        await alice.send(rename, Idempotency_Key="k1")
        replayed = await alice.send(rename, Idempotency_Key="k1")
        item = other_program.read("p1")
        assert item is not None
        other_program.put({**item, "playlist_owner": {"S": "bob"}})

        refused = await alice.send(rename, Idempotency_Key="k1")

        assert replayed.headers["Idempotency-Replayed"] == "true"
        assert code_of(refused) == (403, "forbidden")

    async def test_owner_comes_before_the_replay_of_a_creation_past_the_window(
        self, alice: Client, other_program: OtherProgram
    ) -> None:
        create: Request = {"method": "POST", "url": "/playlists", "json": MINE}
        token = (await alice.send(create, Idempotency_Key="k1")).json()["playlist_token"]
        item = other_program.read(token)
        assert item is not None
        other_program.put({**item, **OF_BOB})

        refused = await alice.send(create, Idempotency_Key="k1")

        assert code_of(refused) == (403, "forbidden")


class TestRequiredPreconditions:
    @pytest.fixture
    def settings(self, table_name: str, issuer: Issuer) -> Settings:
        return issuer.settings(table_name=table_name, require_precondition=True)

    @pytest.mark.parametrize("operation", ["merge patch", "replacement", "deletion"])
    async def test_owner_comes_before_a_precondition_that_is_required(
        self, created: httpx2.Response, alice: Client, bob: Client, operation: str
    ) -> None:
        assert code_of(await bob.send(WRITES[operation])) == (403, "forbidden")
        assert code_of(await alice.send(WRITES[operation])) == (428, "precondition-required")
