"""The list of playlists over HTTP: pages, their cursors, and a table that cannot be listed."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.api.cursors import CURSOR_MAX_LENGTH, cursor_after
from app.domain.errors import StorageUnavailable, Throttled
from app.examples import add_examples
from app.store.playlists import PlaylistRepository
from tests.api.by_operation import DOCUMENT
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

NEXT = re.compile('<(/playlists[?].+)>; rel="next"')
# Not in the order of their creation; upper case comes first, as in UTF-8.
TOKENS = ["p3", "p1", "P9", "p2~", "p10", "p2", "z"]
ANONYMOUS = {"S": "anonymous"}


@pytest.fixture
async def seven(http: httpx2.AsyncClient) -> list[str]:
    """The tokens of seven playlists, in order."""
    for token in TOKENS:
        assert (await http.put(f"/playlists/{token}", json=MINE)).status_code == 201
    return sorted(TOKENS)


def tokens_of(response: httpx2.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["playlist_token"] for item in response.json()["items"]]


async def pages_from(http: httpx2.AsyncClient, path: str) -> list[httpx2.Response]:
    """The pages to which this one and those after it link."""
    pages = [await http.get(path)]
    while link := pages[-1].headers.get("link"):
        assert len(pages) < 10, "the list goes round in circles"
        found = NEXT.fullmatch(link)
        assert found
        pages.append(await http.get(found[1]))
    return pages


def faults_of(response: httpx2.Response) -> list[str]:
    assert code_of(response) == (422, "invalid-request")
    return [error["detail"] for error in response.json()["errors"]]


class TestPages:
    async def test_links_lead_through_all_playlists_in_the_order_of_their_tokens(
        self, http: httpx2.AsyncClient, seven: list[str]
    ) -> None:
        pages = await pages_from(http, "/playlists?limit=3")

        assert [tokens_of(page) for page in pages] == [seven[:3], seven[3:6], seven[6:]]

    async def test_next_cursor_leads_where_the_link_does(self, http: httpx2.AsyncClient, seven: list[str]) -> None:
        first = await http.get("/playlists", params={"limit": 3})
        second = await http.get("/playlists", params={"limit": 3, "cursor": first.json()["next_cursor"]})
        third = await http.get("/playlists", params={"limit": 1, "cursor": second.json()["next_cursor"]})

        assert [tokens_of(page) for page in (first, second, third)] == [seven[:3], seven[3:6], seven[6:]]
        assert third.json()["next_cursor"] is None
        assert "link" not in third.headers

    async def test_page_that_the_last_playlist_fills_is_the_last(
        self, http: httpx2.AsyncClient, seven: list[str]
    ) -> None:
        page = await http.get("/playlists?limit=7")

        assert tokens_of(page) == seven
        assert page.json()["next_cursor"] is None

    async def test_playlists_are_shown_as_a_get_does_without_their_tracks(
        self, http: httpx2.AsyncClient, seven: list[str]
    ) -> None:
        await http.patch("/playlists/P9", json={"playlist_name": "New"})
        shown = (await http.get("/playlists/P9")).json()

        response = await http.get("/playlists")

        assert response.json()["items"][0] == {
            name: value for name, value in shown.items() if not name.startswith("track_")
        }
        assert response.headers["cache-control"] == "private, no-cache"
        assert "etag" not in response.headers

    async def test_list_of_one_who_has_none_is_empty(self, http: httpx2.AsyncClient) -> None:
        response = await http.get("/playlists")

        assert response.json() == {"items": [], "next_cursor": None}
        assert "link" not in response.headers

    async def test_cursor_keeps_its_place_where_playlists_come_and_go(
        self, http: httpx2.AsyncClient, seven: list[str]
    ) -> None:
        first = await http.get("/playlists?limit=3")
        for token in (seven[2], seven[6]):
            await http.delete(f"/playlists/{token}")
        await http.put("/playlists/zz", json=MINE)

        second = await http.get("/playlists", params={"cursor": first.json()["next_cursor"]})

        assert tokens_of(second) == [*seven[3:6], "zz"]

    async def test_page_after_the_last_playlist_is_empty(self, http: httpx2.AsyncClient, seven: list[str]) -> None:
        response = await http.get("/playlists", params={"cursor": cursor_after(seven[-1], caller="anonymous")})

        assert response.json() == {"items": [], "next_cursor": None}

    async def test_head_answers_the_headers_alone(self, http: httpx2.AsyncClient, seven: list[str]) -> None:
        got, head = await http.get("/playlists?limit=3"), await http.head("/playlists?limit=3")

        assert head.status_code == 200
        assert head.headers["link"] == got.headers["link"]
        assert not head.content
        assert (await http.head("/playlists?limit=0")).status_code == 422

    async def test_unknown_parameters_are_ignored(self, http: httpx2.AsyncClient, seven: list[str]) -> None:
        assert tokens_of(await http.get("/playlists?offset=3&limit=2")) == seven[:2]


class TestSharedTable:
    async def test_playlists_of_others_and_of_nobody_are_not_shown(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        await http.put("/playlists/p1", json=MINE)
        other_program.put_playlist("p0", playlist_owner={"S": "somebody"})
        other_program.put_playlist("p2")

        assert tokens_of(await http.get("/playlists")) == ["p1"]

    @pytest.mark.parametrize("limit", [1, 2, 50])
    async def test_items_that_are_no_playlists_are_passed_over(
        self, http: httpx2.AsyncClient, other_program: OtherProgram, seven: list[str], limit: int
    ) -> None:
        for token in ("A", "p1", "p2", "zzz"):
            for rest in range(6):
                other_program.put(
                    {"partition_key": {"S": token}, "sort_key": {"S": f"TRACK_{rest}"}, "playlist_owner": ANONYMOUS}
                )

        pages = await pages_from(http, f"/playlists?limit={limit}")

        assert [token for page in pages for token in tokens_of(page)] == seven
        assert all(len(tokens_of(page)) == limit for page in pages[:-1])

    async def test_odd_items_are_shown_as_they_can_be_read(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist(
            "PL 1#ä",
            playlist_name={"L": []},
            playlist_version={"N": "1.5"},
            playlist_owner=ANONYMOUS,
            created_at={"N": "7"},
            updated_at={"NULL": True},
            track_tokens=None,
        )

        response = await http.get("/playlists")

        assert response.json()["items"] == [
            {
                "playlist_token": "PL 1#ä",
                "playlist_name": "",
                "playlist_version": None,
                "playlist_owner": "anonymous",
                "created_at": None,
                "updated_at": None,
            }
        ]

    async def test_tokens_of_any_length_and_script_can_be_gone_on_from(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        tokens = ["a b", "ä" * 512, "音", "🎵"]
        for token in tokens:
            other_program.put_playlist(token, playlist_owner=ANONYMOUS)

        pages = await pages_from(http, "/playlists?limit=1")

        assert [tokens_of(page) for page in pages] == [[token] for token in tokens]


class TestLimit:
    @pytest.mark.parametrize("limit", ["1", "100"])
    async def test_bounds_are_taken(self, http: httpx2.AsyncClient, seven: list[str], limit: str) -> None:
        assert tokens_of(await http.get(f"/playlists?limit={limit}")) == seven[: int(limit)]

    @pytest.mark.parametrize(
        "query",
        [
            *[
                f"limit={limit}"
                for limit in ("0", "101", "x", "", "1e3", "-1", "%2B5", "5.0", "%205", "1_0", "%EF%BC%99")
            ],
            "limit=" + "9" * 5_000,
            "limit=2&limit=2",
        ],
        ids=lambda query: query[:20],
    )
    async def test_what_is_none_is_refused(self, http: httpx2.AsyncClient, query: str) -> None:
        [fault] = faults_of(await http.get(f"/playlists?{query}"))

        assert fault.startswith("limit must be one integer from 1 to 100")


class TestCursor:
    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "x",
            "*",
            "%FF",
            "%00",
            cursor_after("p1", caller="somebody"),
            cursor_after("p1", caller="anonymous") + "=",
            cursor_after("", caller="anonymous"),
            cursor_after("x" * 1025, caller="anonymous"),
            "A" * CURSOR_MAX_LENGTH,
            "A" * 20_000,
        ],
        ids=lambda cursor: cursor[:20],
    )
    async def test_what_is_none_of_the_callers_is_refused(self, http: httpx2.AsyncClient, cursor: str) -> None:
        [fault] = faults_of(await http.get(f"/playlists?cursor={cursor}"))

        assert fault.startswith("cursor must be")

    async def test_two_are_refused_as_one_that_is_wrong(self, http: httpx2.AsyncClient) -> None:
        cursor = cursor_after("p1", caller="anonymous")

        [fault] = faults_of(await http.get(f"/playlists?cursor={cursor}&cursor={cursor}"))

        assert fault.startswith("cursor must be one")

    async def test_every_fault_of_the_query_is_told(self, http: httpx2.AsyncClient) -> None:
        assert len(faults_of(await http.get("/playlists?cursor=x&limit=x"))) == 2

    async def test_example_of_the_document_works(self, http: httpx2.AsyncClient, playlists: PlaylistRepository) -> None:
        await add_examples(playlists)
        operation = DOCUMENT["paths"]["/playlists"]["get"]
        [cursor] = operation["parameters"][1]["schema"]["examples"]
        [answer] = operation["responses"]["200"]["content"].values()

        response = await http.get("/playlists", params={"cursor": cursor})

        assert tokens_of(response) == ["PLAYLIST_2", "PLAYLIST_3"]
        assert answer["example"]["next_cursor"] == cursor


class TestTableWithoutIndex:
    @pytest.fixture
    async def table_name(self, patient_client: Any) -> AsyncIterator[str]:
        name = f"music_items_{uuid4().hex}"
        keys = {"partition_key": "HASH", "sort_key": "RANGE"}
        await patient_client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        yield name
        await patient_client.delete_table(TableName=name)

    async def test_list_is_answered_501(self, http: httpx2.AsyncClient) -> None:
        response = await http.get("/playlists")

        assert code_of(response) == (501, "listing-unavailable")
        assert "retry-after" not in response.headers

    async def test_everything_else_works(self, http: httpx2.AsyncClient) -> None:
        created = await http.post("/playlists", json=MINE)
        location = created.headers["location"]
        answers = [
            created,
            await http.get(location),
            await http.patch(location, json={"playlist_name": "New"}),
            await http.put(location, json=MINE),
            await http.delete(location),
            await http.get("/readyz"),
        ]

        assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 204, 200]


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Throttled(), "throttled"), (StorageUnavailable("secret-endpoint", passing=False), "storage-unavailable")],
    ids=lambda case: case if isinstance(case, str) else "",
)
async def test_failed_query_of_the_index_is_answered_503(
    http: httpx2.AsyncClient,
    interruptions: Interruptions,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    code: str,
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(interruptions, "query_index", fail)

    response = await http.get("/playlists")

    assert code_of(response) == (503, code)
    assert response.headers["retry-after"]
    assert "secret" not in response.text
