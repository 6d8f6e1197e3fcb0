"""`playlists race` against the service, against services that cheat, and naively."""

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import httpx2
import pytest

from app.domain.access import ANONYMOUS
from app.domain.playlist import PlaylistContent
from app.store.playlists import PlaylistRepository
from tests.faults.proxy import Fault, FaultProxy, RandomPlan
from tests.servers import PLAYLISTS, run_playlists, running_playlists, without
from tests.test_cli import children_of, is_running
from tests.writers import OtherProgram

SMALL = ("--writers", "4", "--renames", "40", "--json")


def results(finished: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert finished.stderr == ""
    printed: dict[str, Any] = json.loads(finished.stdout)
    return printed


async def test_race_against_the_service_loses_nothing_and_leaves_nothing(
    playlists: PlaylistRepository, table_name: str
) -> None:
    with running_playlists("serve", "--workers", "2", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        finished = run_playlists("race", "--url", served.url, *SMALL)
        left = httpx2.get(f"{served.url}/playlists").json()["items"]

    race = results(finished)
    assert finished.returncode == 0
    assert race["acknowledged"] == 40
    assert race["last_version"] - race["first_version"] == 40
    assert race["conflicts"] >= 3  # All four began from the same state.
    assert (race["lost"], race["false_conflicts"], race["unexplained_versions"]) == (0, 0, 0)
    assert left == []


async def test_race_on_a_named_playlist_renames_it_and_leaves_it(
    playlists: PlaylistRepository, table_name: str
) -> None:
    with running_playlists("serve", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        httpx2.put(f"{served.url}/playlists/p1", json={"playlist_name": "First", "track_tokens": ["A/1"]})
        finished = run_playlists("race", "--url", f"{served.url}/", "--playlist", "p1", *SMALL)

    assert results(finished)["playlist_token"] == "p1"
    playlist = await playlists.get("p1")
    assert playlist.playlist_version == 41
    assert playlist.track_tokens == ("A/1",)


async def test_race_on_a_playlist_without_a_version_gives_it_versions(
    playlists: PlaylistRepository, other_program: OtherProgram, table_name: str
) -> None:
    other_program.put_playlist("p1", playlist_version=None)

    with running_playlists(
        "serve", environment=without(PLAYLISTS_TABLE_NAME=table_name, PLAYLISTS_OWNERLESS_WRITES="any")
    ) as served:
        finished = run_playlists("race", "--url", served.url, "--playlist", "p1", *SMALL)

    assert finished.returncode == 0
    assert (results(finished)["first_version"], results(finished)["last_version"]) == (0, 40)


async def test_race_over_lost_answers_is_explained_and_tells_the_writes_that_were_recovered(
    endpoint_url: str, playlists: PlaylistRepository, table_name: str
) -> None:
    await playlists.create("p1", PlaylistContent("First"), caller=ANONYMOUS)
    environment = without(PLAYLISTS_TABLE_NAME=table_name, PLAYLISTS_SKIP_TABLE_CHECK="true")

    def race(proxy_url: str) -> "subprocess.CompletedProcess[str]":
        through_faults = environment | {"AWS_ENDPOINT_URL_DYNAMODB": proxy_url}
        with running_playlists("serve", environment=through_faults) as served:
            return run_playlists("race", "--url", served.url, "--playlist", "p1", *SMALL)

    others, puts = RandomPlan(seed=1, rate=0.2, hang=False), count()

    def plan(operation: str, content: bytes) -> Fault:
        # By chance alone, all answers that are lost may be of writes that were not made.
        if operation == "PutItem" and next(puts) % 4 == 0:
            return Fault.DROP_RESPONSE
        return others(operation, content)

    async with FaultProxy(endpoint_url).running() as proxy:
        proxy.plan = plan
        finished = await asyncio.to_thread(race, proxy.url)

    told = results(finished)
    assert finished.returncode == 0
    assert told["acknowledged"] + told["unknown"] == 40
    assert told["own_writes_recovered"] > 0
    assert (told["lost"], told["false_conflicts"], told["unexplained_versions"]) == (0, 0, 0)


def test_race_without_a_url_starts_a_service_for_itself(endpoint_url: str) -> None:
    finished = run_playlists("race", *SMALL, environment=without("PLAYLISTS_AUTH", "AWS_ENDPOINT_URL_DYNAMODB"))

    assert finished.returncode == 0
    assert results(finished)["acknowledged"] == 40


@pytest.mark.parametrize("in_background", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_race_that_is_ended_takes_along_what_it_started(
    playlists: PlaylistRepository, table_name: str, number: signal.Signals, in_background: bool
) -> None:
    def as_a_script_starts_it() -> None:
        if in_background:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = await asyncio.create_subprocess_exec(
        *(PLAYLISTS, "race", "--renames", "100000"),
        preexec_fn=as_a_script_starts_it,
        env=without(PLAYLISTS_TABLE_NAME=table_name),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (await playlists.list_by_owner("anonymous", limit=1)).items:
        assert process.returncode is None
    [service] = children_of(process.pid)
    process.send_signal(number)
    output, errors = await process.communicate()

    assert process.returncode != 0
    assert b"Traceback" not in output + errors
    assert not is_running(service)
    assert (await playlists.list_by_owner("anonymous", limit=1)).items == ()


def test_naive_race_loses_and_ends_with_exit_code_1(table_name: str) -> None:
    finished = run_playlists("race", "--naive", *SMALL, environment=without(PLAYLISTS_TABLE_NAME=table_name))

    race = results(finished)
    assert finished.returncode == 1
    assert race["acknowledged"] == 40
    assert race["lost"] == 40 - (race["last_version"] - race["first_version"]) > 0
    assert race["unexplained_versions"] == 0


def test_results_are_a_table_by_default(table_name: str) -> None:
    finished = run_playlists("race", "--renames", "3", environment=without(PLAYLISTS_TABLE_NAME=table_name))

    rows = {
        name.strip(): figure.strip() for name, figure in re.findall("^│([^│]*)│([^│]*)│", finished.stdout, re.MULTILINE)
    }
    assert (rows["acknowledged"], rows["of each writer"], rows["lost"], rows["versions"]) == (
        "3",
        "0 to 1",
        "0",
        "1 to 4",
    )


class Cheat(ThreadingHTTPServer):
    """One playlist over HTTP, compared and swapped, but it cheats on every third rename that it can cheat on."""

    daemon_threads = True

    def __init__(self, cheats: str) -> None:
        super().__init__(("127.0.0.1", 0), _CheatingHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.cheats = cheats
        self.renames = count(1)
        self.reads = count()
        self.lock = Lock()
        self.state = (1, '"1"', "First")


class _CheatingHandler(BaseHTTPRequestHandler):
    server: Cheat

    def do_PUT(self) -> None:
        self._content()
        self._answer(201)

    def do_GET(self) -> None:
        is_read = self.path.startswith("/playlists/")
        if is_read:
            next(self.server.reads)
        self._answer(200 if is_read else 404)

    def do_DELETE(self) -> None:
        self._answer(204)

    def do_PATCH(self) -> None:
        name, server = json.loads(self._content())["playlist_name"], self.server
        with server.lock:
            version, entity_tag, _ = server.state
            is_late = self.headers["If-Match"] != entity_tag
            # Four writers that begin from one state send three that are late.
            can_cheat = is_late == (server.cheats == "ignores If-Match")
            cheats = server.cheats if can_cheat and next(server.renames) % 3 == 0 else ""
            if is_late and not cheats:
                return self._conflict()
            made = (version + 1, f'"{version + 1}"', name)
            if cheats == "does not write":
                return self._answer(200, made)
            server.state = made
            if cheats == "tells a conflict":
                return self._conflict()
            if cheats == "loses the answer":
                self.close_connection = True
                return None
            return self._answer(200)

    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _conflict(self) -> None:
        version, entity_tag, name = self.server.state
        current = {"playlist_version": version, "playlist_name": name}
        self._send(412, "", {"current": current, "current_etag": entity_tag})

    def _answer(self, status: int, state: tuple[int, str, str] | None = None) -> None:
        version, entity_tag, name = state or self.server.state
        self._send(status, entity_tag, {"playlist_token": "p", "playlist_version": version, "playlist_name": name})

    def _send(self, status: int, entity_tag: str, body: dict[str, Any]) -> None:
        content = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("ETag", entity_tag)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def cheating(cheats: str) -> Iterator[Cheat]:
    with Cheat(cheats) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("cheats", "found"),
    [
        ("ignores If-Match", "lost"),
        ("does not write", "lost"),
        ("tells a conflict", "false_conflicts"),
    ],
)
def test_service_that_cheats_is_found_out(cheats: str, found: str) -> None:
    with cheating(cheats) as server:
        finished = run_playlists("race", "--url", server.url, *SMALL)

    assert results(finished)[found] > 0
    assert finished.returncode == 1


def test_service_that_only_loses_answers_is_no_cheat() -> None:
    with cheating("loses the answer") as server:
        finished = run_playlists("race", "--url", server.url, *SMALL)

    race = results(finished)
    assert (race["lost"], race["false_conflicts"], race["unexplained_versions"]) == (0, 0, 0)
    assert race["unknown"] == race["unknown_and_made"] > 0
    assert race["own_writes_recovered"] is None
    assert finished.returncode == 0


def test_writers_read_before_every_attempt_but_the_first_which_they_make_from_the_same_state() -> None:
    with cheating("") as server:
        finished = run_playlists("race", "--url", server.url, *SMALL)

    race = results(finished)
    assert race["conflicts"] >= 3
    # The first and the last state, and one for each attempt but the first of each of the four.
    assert next(server.reads) == 2 + (race["acknowledged"] + race["conflicts"] - 4)


@pytest.mark.parametrize(("renames", "shares"), [(8, [1] * 8), (3, [1, 1, 1, 0, 0, 0, 0, 0])])
def test_every_writer_makes_a_rename_as_long_as_there_are_enough(renames: int, shares: list[int]) -> None:
    with cheating("") as server:
        finished = run_playlists("race", "--url", server.url, "--renames", str(renames), "--json")

    assert results(finished)["acknowledged_by_writer"] == shares


def test_renames_of_the_writers_add_up_to_those_that_were_acknowledged() -> None:
    with cheating("loses the answer") as server:
        finished = run_playlists("race", "--url", server.url, *SMALL)

    race = results(finished)
    assert len(race["acknowledged_by_writer"]) == 4
    assert sum(race["acknowledged_by_writer"]) == race["acknowledged"] < 40


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--url", "http://127.0.0.1:1"), "http://127.0.0.1:1 does not answer"),
        (("--url", "http://127.0.0.1:1", "--playlist", "p"), "http://127.0.0.1:1 does not answer"),
        (("--url", "nowhere"), "nowhere does not answer"),
        (("--naive", "--url", "http://127.0.0.1:1"), "leave out --url"),
    ],
)
def test_race_that_cannot_be_run_says_why_in_one_line(arguments: tuple[str, ...], told: str) -> None:
    finished = run_playlists("race", *arguments)

    [line] = finished.stderr.splitlines()
    assert told in line
    assert finished.returncode == 1


async def test_playlist_that_is_not_there_is_told(playlists: PlaylistRepository, table_name: str) -> None:
    with running_playlists("serve", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        finished = run_playlists("race", "--url", served.url, "--playlist", "nobody")

    [line] = finished.stderr.splitlines()
    assert "/playlists/nobody was answered 404" in line


def test_plot_without_matplotlib_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError")

    finished = run_playlists(
        "race", "--plot", str(tmp_path / "race.png"), environment=without(PYTHONPATH=str(tmp_path))
    )

    [line] = finished.stderr.splitlines()
    assert "pip install matplotlib" in line
    assert finished.returncode == 1
