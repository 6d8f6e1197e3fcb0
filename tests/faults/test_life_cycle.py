"""What ends in the middle of a request: the client, the service, its engine, its credentials."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from app.domain.errors import PlaylistError
from app.domain.playlist import Playlist, PlaylistContent
from app.settings import Settings, load_settings
from app.store.attempts import Attempts
from app.store.client import open_client, open_patient_client
from app.store.dynamodb import DynamoDBTable
from app.store.embedded import point_sdk_at
from app.store.playlists import PlaylistRepository
from app.store.table import create_table
from tests.engines import DynamoDBLocal, is_dynamodb_local
from tests.faults.proxy import Fault, FaultProxy, Script
from tests.faults.test_outcomes import MINE, renamed, tasks_of_the_service
from tests.servers import Served, running_playlists, without
from tests.writers import ME

AT_ONCE = 8


@pytest.fixture
async def served(proxy: FaultProxy, table_name: str) -> AsyncIterator[Served]:
    """The service in a process of its own, behind the proxy."""
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    point_sdk_at(proxy.url, environment)
    with ExitStack() as processes:
        command = running_playlists("serve", environment=environment)
        yield await asyncio.to_thread(processes.enter_context, command)
        # In a thread, because the proxy has to go on while the service ends.
        await asyncio.to_thread(processes.close)


def renamed_to(playlist_name: str) -> Callable[[Playlist], PlaylistContent]:
    return lambda playlist: playlist.renamed(playlist_name)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 (what is waited for happens in other processes)
            await asyncio.sleep(0.01)


async def test_requests_in_flight_at_sigterm_are_served_to_their_end(
    served: Served, proxy: FaultProxy, playlists: PlaylistRepository
) -> None:
    for number in range(AT_ONCE):
        await playlists.create(f"p{number}", MINE, caller=ME)
    proxy.plan = Script([Fault.DELAY] * AT_ONCE)
    proxy.delay_seconds = 0.5
    async with httpx2.AsyncClient(base_url=served.url) as http:
        edits = [
            asyncio.create_task(http.patch(f"/playlists/p{number}", json={"playlist_name": "Ours"}))
            for number in range(AT_ONCE)
        ]
        await until(lambda: proxy.writes_seen == AT_ONCE)
        assert not any(edit.done() for edit in edits)

        served.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*edits)

    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert await asyncio.to_thread(served.process.wait, 20) == 0
    for number in range(AT_ONCE):
        assert (await playlists.get(f"p{number}")).playlist_name == "Ours"


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE, Fault.HANG_AFTER], ids=lambda fault: fault.name)
async def test_service_killed_in_mid_flight_leaves_the_playlist_before_or_after(
    served: Served, proxy: FaultProxy, playlists: PlaylistRepository, table_name: str, fault: Fault
) -> None:
    await playlists.create("p1", MINE, caller=ME)
    proxy.plan = Script([fault])
    async with httpx2.AsyncClient(base_url=served.url) as http:
        edit = asyncio.create_task(http.patch("/playlists/p1", json={"playlist_name": "Ours", "track_tokens": []}))
        await until(lambda: proxy.writes_seen == 1)

        served.process.kill()
        with pytest.raises(httpx2.HTTPError):
            await edit

    if fault.applied:
        # It was on its way, and may take effect a moment after its sender is gone.
        await until_named(playlists, "Ours")
    kept = await playlists.get("p1")
    assert (kept.playlist_name, kept.track_tokens) in ((MINE.playlist_name, MINE.track_tokens), ("Ours", ()))
    after = await playlists.update("p1", renamed_to("Next"), caller=ME)
    assert after.playlist.playlist_name == "Next"


async def until_named(playlists: PlaylistRepository, playlist_name: str) -> None:
    async with asyncio.timeout(20):
        while (await playlists.get("p1")).playlist_name != playlist_name:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("when", ["in the middle of its body", "once its write is on its way"])
async def test_client_that_goes_away_leaves_the_playlist_whole_and_the_service_serving(
    served: Served, proxy: FaultProxy, playlists: PlaylistRepository, when: str
) -> None:
    created = (await playlists.create("p1", MINE, caller=ME)).playlist
    proxy.plan = Script([Fault.DELAY])
    host, _, port = served.url.removeprefix("http://").partition(":")
    body = json.dumps({"playlist_name": "Ours"}).encode()
    head = b"PATCH /playlists/p1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head % len(body) + (body if "write" in when else body[:5]))
    await writer.drain()
    if "write" in when:
        await until(lambda: proxy.writes_seen == 1)
    writer.close()

    if "write" in when:
        await until_named(playlists, "Ours")
    else:
        await asyncio.sleep(0.1)
        assert await playlists.get("p1") == created
    async with httpx2.AsyncClient(base_url=served.url) as http:
        assert (await http.patch("/playlists/p1", json={"playlist_name": "Next"})).status_code == 200
    assert "Traceback" not in served.output()


@pytest.mark.skipif(not is_dynamodb_local(), reason="the embedded engine keeps no files")
async def test_engine_that_was_killed_and_started_again_on_its_files_is_found_again(
    endpoint_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = DynamoDBLocal(tmp_path)
    with local.running():
        point_sdk_at(local.url, environment := dict(os.environ))
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", environment["AWS_ENDPOINT_URL_DYNAMODB"])
        async with open_patient_client() as client:
            await create_table(client, "music_items")
        settings = load_settings(table_name="music_items")
        async with open_client(settings) as client:
            playlists = PlaylistRepository(DynamoDBTable(client, "music_items"), Attempts(settings))
            acknowledged = (await playlists.create("p1", MINE, caller=ME)).playlist
            names = [f"Edit {number}" for number in range(300)]

            async def edit_in_turn() -> None:
                nonlocal acknowledged
                for name in names:
                    acknowledged = (await playlists.update("p1", renamed_to(name), caller=ME)).playlist

            edits = asyncio.create_task(edit_in_turn())
            await asyncio.sleep(0.2)
            local.kill()
            with pytest.raises(PlaylistError):
                await edits
            await asyncio.to_thread(local.start)

            kept = await playlists.get("p1")
            # One edit more may have been applied than was answered.
            assert kept.playlist_version in (acknowledged.playlist_version, (acknowledged.playlist_version or 0) + 1)
            if kept.playlist_version == acknowledged.playlist_version:
                assert kept == acknowledged
            assert (await playlists.update("p1", renamed, caller=ME)).playlist.playlist_name == "Ours"


async def test_expired_credentials_are_refreshed_and_the_write_is_made(
    proxy: FaultProxy, settings: Settings, table_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Within ten minutes of their end the SDK asks for new ones before each use.
    provider = tmp_path / "credentials.py"
    provider.write_text(
        "import datetime, json, pathlib, sys\n"
        "turns = pathlib.Path(sys.argv[1])\n"
        "turn = len(turns.read_text()) if turns.exists() else 0\n"
        "turns.write_text('x' * (turn + 1))\n"
        "end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'KEY{turn}', 'SecretAccessKey': 'secret',"
        " 'SessionToken': 'token', 'Expiration': end.isoformat()}))\n"
    )
    config = tmp_path / "config"
    config.write_text(
        f"[default]\nregion = us-east-1\ncredential_process = {sys.executable} {provider} {tmp_path}/turns\n"
    )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
    proxy.plan = Script([Fault.EXPIRED_TOKEN])

    async with open_client(settings) as client:
        playlists = PlaylistRepository(DynamoDBTable(client, table_name), Attempts(settings))
        created = (await playlists.create("p1", MINE, caller=ME)).playlist

    assert created.playlist_version == 1
    refused, repeated = proxy.access_keys
    assert refused != repeated


async def test_no_connection_and_no_task_is_lost_to_faults_and_cancellations(
    proxy: FaultProxy,
    playlists: PlaylistRepository,
    settings: Settings,
    table_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = settings.model_copy(update={"max_connections": 1, "request_deadline_seconds": 0.6})
    await playlists.create("p1", MINE, caller=ME)
    with monkeypatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
        async with open_client(one) as client:
            faulty = PlaylistRepository(DynamoDBTable(client, table_name), Attempts(one))
            for fault in Fault:
                proxy.plan = Script([fault] * 3, reads=fault)
                requests = [asyncio.create_task(faulty.update("p1", renamed, caller=ME)) for _ in range(6)]
                await asyncio.sleep(0.05)
                for request in requests[::2]:
                    request.cancel()
                await asyncio.gather(*requests, return_exceptions=True)
            proxy.plan = Script([])

            # There is one connection to be had: nothing would be answered if it had not been given back.
            for _ in range(6):
                await asyncio.gather(*(faulty.get("p1") for _ in range(5)))
            assert not tasks_of_the_service()
