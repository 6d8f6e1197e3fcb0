import asyncio
from typing import Any

import httpx2
import pytest

from app.settings import Settings, load_settings
from app.store.dynamodb import DynamoDBTable
from tests.api.test_playlists import code_of


async def test_live_and_ready(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/livez")).json() == {"status": "alive"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}


async def test_not_ready_without_the_table(
    http: httpx2.AsyncClient,
    interruptions: DynamoDBTable,
    client: Any,
    table_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = DynamoDBTable(client, f"{table_name}_missing")
    monkeypatch.setattr(interruptions, "get_item", missing.get_item)

    assert (await http.get("/livez")).status_code == 200
    assert code_of(await http.get("/readyz")) == (503, "storage-unavailable")


class TestDeadline:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, request_deadline_seconds=0.5)

    async def test_readiness_is_answered_by_the_deadline_of_a_request(
        self, http: httpx2.AsyncClient, interruptions: DynamoDBTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def hang(*_: Any) -> None:
            await asyncio.sleep(30)

        monkeypatch.setattr(interruptions, "get_item", hang)

        async with asyncio.timeout(5):
            assert code_of(await http.get("/readyz")) == (503, "storage-unavailable")
