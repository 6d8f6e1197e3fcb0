"""Writers racing for real: processes, sockets, and an engine whose conditional writes are atomic."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from uuid import uuid4

import httpx2

from app.store.playlists import PlaylistRepository
from tests.servers import running_playlists, without

WRITERS = 16
ROUNDS = 12


async def test_sixteen_writers_over_two_worker_processes_lose_no_update(
    playlists: PlaylistRepository, table_name: str
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    acknowledged: dict[int, str] = {}
    statuses: Counter[int] = Counter()

    async def write(http: httpx2.AsyncClient, writer: int) -> None:
        for turn in range(ROUNDS):
            name = f"writer {writer} turn {turn} {uuid4()}"
            response = await http.patch("/playlists/p1", json={"playlist_name": name})
            statuses[response.status_code] += 1
            if response.status_code == 200:
                version = response.json()["playlist_version"]
                assert version not in acknowledged, "one version was answered twice"
                acknowledged[version] = name

    with ExitStack() as processes:
        # Two processes with a port each, so that both are sure to get half of the writers.
        urls = [processes.enter_context(running_playlists("serve", environment=environment)).url for _ in range(2)]
        async with httpx2.AsyncClient(base_url=urls[0]) as one, httpx2.AsyncClient(base_url=urls[1]) as two:
            created = (await one.put("/playlists/p1", json={"playlist_name": "First", "track_tokens": []})).json()
            await asyncio.gather(*(write((one, two)[writer % 2], writer) for writer in range(WRITERS)))
            final = (await two.get("/playlists/p1")).json()

    assert set(statuses) == {200, 409}
    assert statuses[200] == len(acknowledged) == final["playlist_version"] - created["playlist_version"]
    assert sorted(acknowledged) == list(range(2, final["playlist_version"] + 1))
    assert final["playlist_name"] == acknowledged[final["playlist_version"]]


async def test_appends_over_two_worker_processes_all_get_in(playlists: PlaylistRepository, table_name: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    tokens = [f"ALBUM/{number}" for number in range(60)]

    async def append(http: httpx2.AsyncClient, some: list[str]) -> None:
        for track_token in some:
            response = await http.post("/playlists/p1/tracks", json={"track_tokens": [track_token]})
            assert response.status_code == 200

    with ExitStack() as processes:
        urls = [processes.enter_context(running_playlists("serve", environment=environment)).url for _ in range(2)]
        async with httpx2.AsyncClient(base_url=urls[0]) as one, httpx2.AsyncClient(base_url=urls[1]) as two:
            await one.put("/playlists/p1", json={"playlist_name": "Shared", "track_tokens": []})
            await asyncio.gather(*(append((one, two)[writer % 2], tokens[writer::6]) for writer in range(6)))

    assert sorted((await playlists.get("p1")).track_tokens) == sorted(tokens)


async def test_writers_that_merge_and_retry_by_the_conflict_answer_alone_all_get_through(
    playlists: PlaylistRepository, table_name: str
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)

    async def add_track(http: httpx2.AsyncClient, writer: int) -> None:
        response = await http.get("/playlists/p1")
        current, entity_tag = response.json(), response.headers["etag"]
        while True:
            tracks = [*current["track_tokens"], f"ALBUM/{writer}"]
            response = await http.patch(
                "/playlists/p1", json={"track_tokens": tracks}, headers={"If-Match": entity_tag}
            )
            if response.status_code == 200:
                return
            conflict = response.json()
            assert conflict["code"] == "precondition-failed"
            current, entity_tag = conflict["current"], conflict["current_etag"]

    with running_playlists("serve", "--workers", "2", environment=environment) as served:
        async with httpx2.AsyncClient(base_url=served.url) as http:
            await http.put("/playlists/p1", json={"playlist_name": "First", "track_tokens": []})
            await asyncio.wait_for(asyncio.gather(*(add_track(http, writer) for writer in range(WRITERS))), 60)
            final = (await http.get("/playlists/p1")).json()

    assert sorted(final["track_tokens"]) == sorted(f"ALBUM/{writer}" for writer in range(WRITERS))
    assert final["playlist_version"] == 1 + WRITERS


async def test_of_many_creators_one_wins(playlists: PlaylistRepository, table_name: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)

    with running_playlists("serve", environment=environment) as served:
        async with httpx2.AsyncClient(base_url=served.url) as http:
            answers = await asyncio.gather(
                *(
                    http.put(
                        "/playlists/p1",
                        json={"playlist_name": f"Writer {writer}", "track_tokens": []},
                        headers={"If-None-Match": "*"},
                    )
                    for writer in range(WRITERS)
                )
            )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 412: WRITERS - 1}
    [winner] = [answer.json() for answer in answers if answer.status_code == 201]
    assert all(answer.json()["current"] == winner for answer in answers if answer.status_code == 412)
