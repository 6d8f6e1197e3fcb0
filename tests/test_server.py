"""The life of the processes that serve: how they drain, are replaced and end, over real sockets and under load."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from app.store.playlists import PlaylistRepository
from tests.servers import Served, run_playlists, running_playlists, without
from tests.test_cli import is_running

CLIENTS = 8
LONG = "300"


class Renamer:
    """A client that renames its own playlist again and again, on one connection or on a new one each time."""

    def __init__(self, served: Served, playlist_token: str, *, keeps_alive: bool) -> None:
        address = urlsplit(served.url)
        self._host, self._port = address.hostname, address.port
        self._head = f"PATCH /playlists/{playlist_token} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        if not keeps_alive:
            self._head += "Connection: close\r\n"
        self.acknowledged = 0

    async def rename_until(self, ended: Callable[[], bool]) -> None:
        """Return also once nobody listens any more; raises where a request gets no answer, or another than 200."""
        while not ended() and self.acknowledged < 5_000:
            try:
                reader, writer = await asyncio.open_connection(self._host, self._port)
            except ConnectionRefusedError:
                return
            try:
                while not ended() and await self._rename(reader, writer):
                    pass
            finally:
                writer.close()

    async def _rename(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        content = json.dumps({"playlist_name": f"Name {self.acknowledged + 1}"})
        writer.write(f"{self._head}Content-Length: {len(content)}\r\n\r\n{content}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        self.acknowledged += 1
        return b"connection: close" not in head


async def renamers(served: Served) -> list[Renamer]:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        for number in range(CLIENTS):
            made = await http.put(f"/playlists/p{number}", json={"playlist_name": "Name 0", "track_tokens": []})
            assert made.status_code == 201
    return [Renamer(served, f"p{number}", keeps_alive=number % 2 == 0) for number in range(CLIENTS)]


async def assert_all_acknowledged_is_there(clients: list[Renamer], playlists: PlaylistRepository) -> None:
    for number, client in enumerate(clients):
        playlist = await playlists.get(f"p{number}")
        assert client.acknowledged > 0
        assert playlist.playlist_name == f"Name {client.acknowledged}"
        assert playlist.playlist_version == 1 + client.acknowledged


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 (what is waited for happens in other processes)
            await asyncio.sleep(0.05)


async def test_rolling_restart_under_load_loses_no_request(playlists: PlaylistRepository, table_name: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name, PLAYLISTS_DRAIN_SECONDS=LONG)
    with running_playlists("serve", "--workers", "2", environment=environment) as served:
        old = served.workers()
        clients = await renamers(served)
        ready: list[int] = []

        def replaced() -> bool:
            return not any(is_running(worker) for worker in old)

        async def watch_readiness() -> None:
            async with httpx2.AsyncClient(base_url=served.url) as http:
                while not replaced():
                    ready.append((await http.get("/readyz", headers={"Connection": "close"})).status_code)

        load = [asyncio.create_task(client.rename_until(replaced)) for client in clients]
        watch = asyncio.create_task(watch_readiness())
        served.process.send_signal(signal.SIGHUP)
        await until(replaced)
        await asyncio.gather(*load, watch)

        assert len(served.workers()) == 2
        served.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(served.process.wait, 20) == 0

    assert set(ready) == {200}
    await assert_all_acknowledged_is_there(clients, playlists)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sigterm_under_load_fails_readiness_at_once_and_loses_no_request(
    playlists: PlaylistRepository, table_name: str, workers: str
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name, PLAYLISTS_DRAIN_SECONDS="2")
    with running_playlists("serve", "--workers", workers, environment=environment) as served:
        clients = await renamers(served)
        load = [asyncio.create_task(client.rename_until(lambda: False)) for client in clients]
        async with httpx2.AsyncClient(base_url=served.url) as http:
            assert (await http.get("/readyz")).status_code == 200

            served.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            before = sum(client.acknowledged for client in clients)
            answers = [await http.get(path) for path in ("/readyz", "/livez", "/playlists/p0")]
            await asyncio.gather(*load)

        assert await asyncio.to_thread(served.process.wait, 20) == 0

    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert answers[0].json()["code"] == "draining"
    assert {answer.headers["connection"] for answer in answers} == {"close"}
    assert sum(client.acknowledged for client in clients) > before
    await assert_all_acknowledged_is_there(clients, playlists)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_second_signal_ends_the_drain(
    playlists: PlaylistRepository, table_name: str, workers: str, second: signal.Signals
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name, PLAYLISTS_DRAIN_SECONDS=LONG)
    with running_playlists("serve", "--workers", workers, environment=environment) as served:
        served.process.send_signal(signal.SIGTERM)
        async with httpx2.AsyncClient(base_url=served.url) as http:
            while (await http.get("/readyz")).status_code == 200:
                pass
            assert served.process.poll() is None

        served.process.send_signal(second)

        assert await asyncio.to_thread(served.process.wait, 20) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sigint_ends_without_a_drain(playlists: PlaylistRepository, table_name: str, workers: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name, PLAYLISTS_DRAIN_SECONDS=LONG)
    with running_playlists("serve", "--workers", workers, environment=environment) as served:
        served.process.send_signal(signal.SIGINT)

        assert await asyncio.to_thread(served.process.wait, 20) == 0


async def test_workers_end_when_their_parent_was_killed(playlists: PlaylistRepository, table_name: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    with running_playlists("serve", "--workers", "2", environment=environment) as served:
        workers = served.workers()

        served.process.kill()

        await until(lambda: not any(is_running(worker) for worker in workers))


def test_workers_that_cannot_start_are_a_failure(endpoint_url: str, table_name: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nif 'spawn_main' in str(sys.orig_argv): os._exit(3)\n")
    environment = without(PLAYLISTS_TABLE_NAME=table_name, PYTHONPATH=str(tmp_path))

    ended = run_playlists("serve", "--workers", "2", environment=environment)

    assert ended.returncode == 3, ended


async def test_no_request_makes_a_line_of_the_log(playlists: PlaylistRepository, table_name: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    with running_playlists("serve", environment=environment) as served:
        address = urlsplit(served.url)
        body = b'{"playlist_name": "\nforged\x1b", "\x1bforged": "\\nforged\\u001b"}'
        for head in (
            b"GET /playlists/a%0d%0aforged%1b[31m?a=%0aforged%1b%9b HTTP/1.1\r\nHost: x\r\n",
            b"GET /\x1bforged HTTP/1.1\r\nHost: x\r\n",
            b"GET /livez HTTP/1.1\r\nHost: x\x1b\nforged\r\n",
            b"PATCH /playlists/%0aforged HTTP/1.1\r\nHost: %0aforged\r\nContent-Type: application/json\r\n"
            b"X-Forwarded-For: \x85forged\x9b\r\nX-Request-ID: a%0aforged\r\nUser-Agent: \x9bforged\r\n"
            b"Idempotency-Key: \x85forged\r\nTraceparent: \x85forged\r\nReferer: \x85forged\r\n",
        ):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert (await reader.read()).startswith(b"HTTP/1.1 4")
            writer.close()

        output = served.stop()

    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["status"] for line in lines if line["logger"] == "app.access"] == [404, 400]
    assert "forged" not in output
