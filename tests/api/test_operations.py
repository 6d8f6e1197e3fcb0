from typing import Any

import httpx2
import pytest

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
