"""Whom the clients take for DynamoDB, when they are to talk to it over TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import StorageUnavailable
from app.settings import load_settings
from app.store.client import open_client
from app.store.dynamodb import DynamoDBTable
from app.store.items import NO_SUCH_ITEM
from app.store.values import encoded_item
from app.store.wire import connections
from tests.store.wire.authorities import Authority
from tests.store.wire.servers import Connection, Server, answer, serving

pytestmark = pytest.mark.asyncio(loop_scope="function")

ITEM = encoded_item({"partition_key": {"S": "p1"}, "sort_key": {"S": "INFO_"}})


@pytest.fixture(params=["short-cut", "standard"])
def client_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def environment(endpoint_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


@asynccontextmanager
async def table_on(server: Server, environment: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[DynamoDBTable]:
    """A table behind `https://localhost` and the server's port."""
    environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"https://localhost:{server.port}")
    # Long, so that a busy machine is no fault of the client's.
    patient = {"connect_timeout_seconds": 10, "read_timeout_seconds": 10, **settings}
    async with open_client(load_settings(auth="none", **patient)) as client:
        yield DynamoDBTable(client, "music_items")


async def serve(connection: Connection) -> None:
    while await connection.request():
        await connection.send(answer(b"{}"))


async def test_server_that_the_bundle_vouches_for_is_talked_to(
    client_name: str, authority: Authority, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(authority.bundle))

    async with (
        serving(serve, tls=authority.server_context("localhost")) as server,
        table_on(server, environment, client=client_name) as table,
    ):
        for _ in range(3):
            await table.put_item(ITEM, NO_SUCH_ITEM)

        assert len(server.connections) == 1


async def test_tls_connection_is_kept_over_a_rest(authority: Authority, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    environment.setattr(connections, "_LOOKED_AT_AFTER_SECONDS", 0.0)

    async with (
        serving(serve, tls=authority.server_context("localhost")) as server,
        table_on(server, environment) as table,
    ):
        for _ in range(5):
            await table.put_item(ITEM, NO_SUCH_ITEM)
            await asyncio.sleep(0.01)

        assert len(server.connections) == 1


async def test_server_of_an_unknown_authority_is_sent_nothing(
    client_name: str, authority: Authority, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("AWS_CA_BUNDLE", raising=False)

    async with (
        serving(serve, tls=authority.server_context("localhost")) as server,
        table_on(server, environment, client=client_name) as table,
    ):
        with pytest.raises(StorageUnavailable) as refusal:
            await table.put_item(ITEM, NO_SUCH_ITEM)

    assert "unable to get local issuer certificate" in str(refusal.value.__cause__)


@pytest.mark.parametrize("name", ["elsewhere.example", "localhost.example", "127.0.0.1"])
async def test_server_of_another_name_is_sent_nothing(
    client_name: str, name: str, authority: Authority, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(authority.bundle))

    async with (
        serving(serve, tls=authority.server_context(name)) as server,
        table_on(server, environment, client=client_name) as table,
    ):
        with pytest.raises(StorageUnavailable) as refusal:
            await table.put_item(ITEM, NO_SUCH_ITEM)

    assert "certificate is not valid for 'localhost'" in str(refusal.value.__cause__)


async def close(connection: Connection) -> None:
    await connection.reader.read(1)


async def reset(connection: Connection) -> None:
    await connection.reader.read(1)
    connection.reset()


async def speak_plainly(connection: Connection) -> None:
    await connection.reader.read(1)
    await connection.send(answer(b"{}"))


async def hang(connection: Connection) -> None:
    await connection.reader.read()


@pytest.mark.parametrize("failure", [close, reset, speak_plainly, hang])
async def test_write_whose_handshake_fails_is_known_not_to_be_applied(
    client_name: str, failure: Any, authority: Authority, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(authority.bundle))

    async with (
        serving(failure) as server,
        table_on(server, environment, client=client_name, connect_timeout_seconds=0.5) as table,
    ):
        with pytest.raises(StorageUnavailable):
            await table.put_item(ITEM, NO_SUCH_ITEM)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "not one"])
async def test_write_without_a_usable_bundle_is_known_not_to_be_applied(
    content: str | None, tmp_path: Path, authority: Authority, environment: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    environment.setenv("AWS_CA_BUNDLE", str(bundle))

    async with (
        serving(serve, tls=authority.server_context("localhost")) as server,
        table_on(server, environment, client="short-cut") as table,
    ):
        with pytest.raises(StorageUnavailable):
            await table.put_item(ITEM, NO_SUCH_ITEM)
