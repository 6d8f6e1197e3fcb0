"""One engine and one client for the session; a table of its own for every test."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import botocore.session
import httpx2
import pytest

from app.main import create_app
from app.settings import Settings, load_settings
from app.store.attempts import Attempts
from app.store.client import open_client, open_patient_client
from app.store.dynamodb import DynamoDBTable
from app.store.embedded import point_sdk_at
from app.store.items import Condition
from app.store.playlists import PlaylistRepository
from app.store.plays import PlayCounters
from app.store.readiness import Readiness
from app.store.table import create_table
from app.store.values import Item
from tests.contract import Contract
from tests.engines import engine, install_dynamodb_local, is_dynamodb_local
from tests.issuer import Issuer
from tests.writers import OtherProgram

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

_ENGINE_NAME, _ENGINE = engine()


def pytest_configure(config: pytest.Config) -> None:
    # Once, before there are workers: two of them would run Maven into the same folder.
    if not hasattr(config, "workerinput") and is_dynamodb_local():
        install_dynamodb_local()


def pytest_report_header() -> str:
    return f"DynamoDB engine: {_ENGINE_NAME}"


def pytest_sessionfinish() -> None:
    if path := os.environ.get("CONTRACT_SEEN"):
        # Each worker of the run adds its own.
        with Path(path).open("a") as file:
            file.writelines(f"{answer}\n" for answer in Contract.seen)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_not_ignored() -> None:
    """A shell lets what it runs in the background ignore SIGINT, and all processes of the tests would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """Each client of the SDK is made from the same service model, read once: reading it takes most of the time."""
    with pytest.MonkeyPatch.context() as sdk:
        sdk.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def endpoint_url() -> Iterator[str]:
    with _ENGINE as url:
        point_sdk_at(url, os.environ)
        # The suite has to pass on either client: PLAYLISTS_CLIENT=standard make test.
        for name in [name for name in os.environ if name.startswith("PLAYLISTS_") and name != "PLAYLISTS_CLIENT"]:
            del os.environ[name]
        os.environ["PLAYLISTS_AUTH"] = "none"
        # Processes of tests have nobody to tell that they are about to end.
        os.environ["PLAYLISTS_DRAIN_SECONDS"] = "0"
        yield url


@pytest.fixture(scope="session")
async def client(endpoint_url: str) -> "AsyncIterator[DynamoDBClient]":
    async with open_client(load_settings()) as client:
        yield client


@pytest.fixture(scope="session")
async def patient_client(endpoint_url: str) -> "AsyncIterator[DynamoDBClient]":
    async with open_patient_client() as client:
        yield client


@pytest.fixture
async def table_name(patient_client: "DynamoDBClient") -> AsyncIterator[str]:
    name = f"music_items_{uuid4().hex}"
    await create_table(patient_client, name)
    yield name
    await patient_client.delete_table(TableName=name)


@pytest.fixture
def playlists(client: "DynamoDBClient", table_name: str) -> PlaylistRepository:
    return PlaylistRepository(DynamoDBTable(client, table_name), Attempts(load_settings()))


@pytest.fixture
def other_program(endpoint_url: str, table_name: str) -> OtherProgram:
    return OtherProgram(endpoint_url, table_name)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer().published() as issuer:
        yield issuer


class Interruptions(DynamoDBTable):
    """A table that lets a test act between a request's read and its write."""

    before_write: Callable[[], object] | None = None

    async def put_item(self, item: Item, condition: Condition) -> None:
        self._interrupt()
        await super().put_item(item, condition)

    async def delete_item(self, partition_key: str, sort_key: str, condition: Condition) -> None:
        self._interrupt()
        await super().delete_item(partition_key, sort_key, condition)

    async def increment(self, partition_key: str, sort_key: str, attribute: str) -> int | None:
        self._interrupt()
        return await super().increment(partition_key, sort_key, attribute)

    def _interrupt(self) -> None:
        act, self.before_write = self.before_write, None
        if act is not None:
            act()


@pytest.fixture
def interruptions(client: "DynamoDBClient", settings: Settings) -> Interruptions:
    return Interruptions(client, settings.table_name, write_region=settings.mrec_write_region)


@pytest.fixture
def settings(table_name: str) -> Settings:
    """The service's settings; a test module or class overrides it with its own."""
    return load_settings(table_name=table_name)


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The OpenAPI document, which is the same whatever the settings are."""
    return Contract(create_app(load_settings(auth="none")).openapi())


@pytest.fixture
async def http(
    settings: Settings,
    interruptions: Interruptions,
    client: "DynamoDBClient",
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the service, in this process; each answer is held against the OpenAPI document."""
    # One of its own takes 50 ms to open.
    monkeypatch.setattr("app.main.open_client", lambda *_, **__: nullcontext(client))
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        attempts = Attempts(settings)
        served = {
            **state,
            "playlists": PlaylistRepository(interruptions, attempts),
            "counters": PlayCounters(interruptions, attempts),
            "readiness": Readiness(interruptions),
        }

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(served)}, receive, send)

        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=with_state, raise_app_exceptions=False),
            base_url="http://playlists.test",
            event_hooks={"response": [contract]},
        ) as http:
            yield http
