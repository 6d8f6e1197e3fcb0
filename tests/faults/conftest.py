"""A repository whose calls pass through a fault proxy."""

from collections.abc import AsyncIterator

import pytest

from app.settings import Settings, load_settings
from app.store.attempts import Attempts
from app.store.client import open_client
from app.store.dynamodb import DynamoDBTable
from app.store.playlists import PlaylistRepository
from tests.faults.proxy import FaultProxy


@pytest.fixture
async def proxy(endpoint_url: str) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(endpoint_url).running() as proxy:
        yield proxy


@pytest.fixture
def settings(table_name: str) -> Settings:
    """Short times, so that what hangs is waited for in tests no longer than needed."""
    return load_settings(
        table_name=table_name,
        connect_timeout_seconds=0.2,
        read_timeout_seconds=0.5,
        request_deadline_seconds=2.5,
        retry_base_delay_seconds=0.005,
    )


@pytest.fixture
async def faulty(
    proxy: FaultProxy, settings: Settings, table_name: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PlaylistRepository]:
    """The repository behind the proxy; `playlists` writes past it."""
    with monkeypatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
        async with open_client(settings) as client:
            yield PlaylistRepository(DynamoDBTable(client, table_name), Attempts(settings))
