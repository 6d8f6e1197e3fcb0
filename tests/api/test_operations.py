from typing import Any

import httpx2
import pytest

from app.domain.errors import Throttled
from app.drain import Drain
from app.main import create_app
from app.settings import Settings
from app.store.dynamodb import DynamoDBTable
from tests.api.test_playlists import code_of
from tests.conftest import Interruptions


async def test_live_and_ready(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/livez")).json() == {"status": "alive"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}


async def test_not_ready_without_the_table(
    http: httpx2.AsyncClient,
    interruptions: Interruptions,
    client: Any,
    table_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = DynamoDBTable(client, f"{table_name}_missing")
    monkeypatch.setattr(interruptions, "get_item", missing.get_item)

    response = await http.get("/readyz")

    assert (await http.get("/livez")).status_code == 200
    assert code_of(response) == (503, "storage-unavailable")
    assert "no table" in response.json()["detail"]
    assert "retry-after" in response.headers


async def test_degraded_while_dynamodb_throttles(
    http: httpx2.AsyncClient, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def throttle(*_: Any) -> None:
        raise Throttled

    monkeypatch.setattr(interruptions, "get_item", throttle)

    assert (await http.get("/readyz")).json() == {"status": "degraded"}


async def test_not_ready_but_serving_once_the_drain_has_begun(settings: Settings, client: Any) -> None:
    drain = Drain()
    app = create_app(settings, drain=drain)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(with_state), base_url="http://playlists.test"
        ) as http:
            before = await http.get("/readyz")

            drain.begin()

            assert before.status_code == 200
            assert code_of(await http.get("/readyz")) == (503, "draining")
            assert (await http.get("/livez")).status_code == 200
            assert (await http.get("/playlists/p1")).status_code == 404
