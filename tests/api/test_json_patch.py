"""JSON Patch over HTTP: what each patch is answered, in the contract's order of checks."""

import json
from typing import Any

import httpx2
import pytest

from app.domain.json_patch import OPERATIONS_LIMIT
from app.settings import Settings, load_settings
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.writers import OtherProgram

JSON_PATCH = "application/json-patch+json"

# Each is refused by itself in a later check than the one before.
MALFORMED = b'[{"op": "test", "op": "test"}]'
INVALID = [{"op": "replace", "path": "/playlist_version", "value": 9}]
FAILED_TEST = {"op": "test", "path": "/playlist_name", "value": "Yours"}
RENAME = {"op": "replace", "path": "/playlist_name", "value": "New"}


@pytest.fixture
async def created(http: httpx2.AsyncClient) -> httpx2.Response:
    """The answer that created p1."""
    return await http.put("/playlists/p1", json=MINE)


async def patch(
    http: httpx2.AsyncClient, *operations: Any, path: str = "/playlists/p1", headers: dict[str, str] | None = None
) -> httpx2.Response:
    return await http.patch(
        path, content=json.dumps(operations), headers={"Content-Type": JSON_PATCH, **(headers or {})}
    )


class TestAnswers:
    async def test_renames_and_edits_single_tracks_in_one_write(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        response = await patch(
            http,
            {"op": "test", "path": "/playlist_version", "value": 1},
            RENAME,
            {"op": "add", "path": "/track_tokens/-", "value": "B/1"},
            {"op": "move", "from": "/track_tokens/2", "path": "/track_tokens/0"},
            {"op": "remove", "path": "/track_tokens/1"},
            {"op": "copy", "from": "/track_tokens/0", "path": "/track_tokens/-"},
        )

        assert response.status_code == 200
        assert response.headers["etag"].startswith('"2-')
        assert (
            response.json().items()
            >= {"playlist_name": "New", "track_tokens": ["B/1", "A/2", "B/1"], "playlist_version": 2}.items()
        )
        assert (await http.get("/playlists/p1")).json() == response.json()

    async def test_whole_playlist_as_a_get_shows_it_can_be_tested(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        read = (await http.get("/playlists/p1")).json()

        first = await patch(http, {"op": "test", "path": "", "value": read}, RENAME)
        second = await patch(http, {"op": "test", "path": "", "value": read}, RENAME)

        assert first.status_code == 200
        assert code_of(second) == (409, "patch-not-applicable")

    @pytest.mark.parametrize(
        "operations",
        [
            [],
            [{"op": "test", "path": "/playlist_name", "value": "Mine"}],
            [{"op": "move", "from": "/track_tokens", "path": "/track_tokens"}],
            [{"op": "add", "path": "/track_tokens/0", "value": "B/1"}, {"op": "remove", "path": "/track_tokens/0"}],
            [{"op": "remove", "path": "/playlist_name"}, {"op": "add", "path": "/playlist_name", "value": "Mine"}],
        ],
    )
    async def test_patch_that_changes_nothing_writes_nothing(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        operations: list[Any],
    ) -> None:
        before = other_program.read("p1")

        response = await patch(http, *operations)

        assert (response.status_code, response.headers["etag"]) == (200, created.headers["etag"])
        assert other_program.read("p1") == before

    @pytest.mark.parametrize(
        "operation",
        [
            FAILED_TEST,
            {"op": "remove", "path": "/track_tokens/2"},
            {"op": "add", "path": "/track_tokens/9", "value": "B/1"},
        ],
    )
    async def test_operation_that_the_state_does_not_allow_gets_409_with_all_it_needs_to_go_on(
        self, http: httpx2.AsyncClient, created: httpx2.Response, operation: Any
    ) -> None:
        response = await patch(http, RENAME, operation, RENAME)

        problem = response.json()
        assert code_of(response) == (409, "patch-not-applicable")
        assert f'operation /1 ({operation["op"]} "{operation["path"]}")' in problem["detail"]
        assert problem["current"] == created.json() == (await http.get("/playlists/p1")).json()
        assert problem["current_etag"] == created.headers["etag"]
        assert (problem["expected_version"], problem["expected_etag"]) == (None, None)
        assert "changed" not in problem
        retried = await patch(http, RENAME, headers={"If-Match": problem["current_etag"]})
        assert retried.status_code == 200

    @pytest.mark.parametrize(
        ("operations", "pointers"),
        [
            ([INVALID[0], RENAME, {"op": "add", "path": "/track_tokens", "value": ["A/1", 1]}], "/0/path /2/value/1"),
            ([RENAME, {"op": "add", "path": "/track_tokens", "value": ["A/1", "x", "y"]}], "/1/value/1 /1/value/2"),
            ([RENAME, {"op": "add", "path": "/track_tokens/0", "value": "x"}], "/1/value"),
            ([{"op": "replace", "path": "/playlist_name", "value": "\ufeff"}], "/0/value"),
            ([{"op": "remove", "path": "/playlist_name"}], "/0"),
            ([{"op": "copy", "from": "/updated_at", "path": "/track_tokens/0"}], "/0/from"),
            ([{"op": "frob", "path": "/playlist_name"}], "/0/op"),
            ([RENAME] * (OPERATIONS_LIMIT + 1), ""),
        ],
        ids=[
            "invalid operations",
            "invalid tracks",
            "invalid track",
            "invalid name",
            "invalid result",
            "unfit copy",
            "unknown op",
            "too many",
        ],
    )
    async def test_invalid_patch_or_result_gets_422_with_pointers_into_the_patch(
        self, http: httpx2.AsyncClient, created: httpx2.Response, operations: list[Any], pointers: str
    ) -> None:
        response = await patch(http, *operations)

        assert code_of(response) == (422, "invalid-request")
        assert [error["pointer"] for error in response.json()["errors"]] == pointers.split(" ")
        assert (await http.get("/playlists/p1")).json() == created.json()

    @pytest.mark.parametrize("document", ["{}", "null", '"x"'])
    async def test_patch_that_is_no_array_gets_422(
        self, http: httpx2.AsyncClient, created: httpx2.Response, document: str
    ) -> None:
        response = await http.patch("/playlists/p1", content=document, headers={"Content-Type": JSON_PATCH})

        assert code_of(response) == (422, "invalid-request")
        assert [error["pointer"] for error in response.json()["errors"]] == [""]

    async def test_merge_patch_and_json_patch_are_told_apart_by_the_media_type(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        as_merge_patch = await http.patch("/playlists/p1", json=[RENAME])
        as_json_patch = await patch(http, RENAME)

        assert code_of(as_merge_patch) == (422, "invalid-request")
        assert as_json_patch.status_code == 200

    async def test_thousands_of_faults_are_listed_up_to_a_bound(self, http: httpx2.AsyncClient) -> None:
        response = await patch(http, *[{}] * OPERATIONS_LIMIT)

        assert code_of(response) == (422, "invalid-request")
        assert len(response.json()["errors"]) == 50

    async def test_playlist_over_the_item_limit_gets_413_and_changes_nothing(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        tracks = [f"{'x' * 128}/{n:0128}" for n in range(1_600)]

        response = await patch(
            http, {"op": "add", "path": "/track_tokens", "value": tracks}, {"op": "remove", "path": "/track_tokens/0"}
        )

        assert code_of(response) == (413, "playlist-too-large")
        assert response.json()["size"] > response.json()["limit"] == 409_600
        assert (await http.get("/playlists/p1")).json() == created.json()

    async def test_most_operations_on_a_long_playlist_are_made(self, http: httpx2.AsyncClient) -> None:
        tracks = [f"ALBUM_{n:05}/TRACK_{n:06}" for n in range(10_000)]
        await http.put("/playlists/p1", json={**MINE, "track_tokens": tracks})
        to_the_front = {"op": "move", "from": "/track_tokens/9999", "path": "/track_tokens/0"}

        response = await patch(http, *[to_the_front] * OPERATIONS_LIMIT)

        assert response.json()["track_tokens"] == tracks[-OPERATIONS_LIMIT:] + tracks[:-OPERATIONS_LIMIT]

    async def test_content_of_another_program_past_our_limits_can_be_tidied_up(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", track_tokens={"L": [{"S": "no slash"}, {"S": ""}, {"S": "A/1"}]})

        added = await patch(http, {"op": "add", "path": "/track_tokens/-", "value": "B/1"})
        copied = await patch(http, {"op": "copy", "from": "/track_tokens/0", "path": "/track_tokens/-"})
        removed = await patch(http, *[{"op": "remove", "path": "/track_tokens/0"}] * 2)

        assert added.json()["track_tokens"] == ["no slash", "", "A/1", "B/1"]
        assert code_of(copied) == (422, "invalid-request")
        assert removed.json()["track_tokens"] == ["A/1", "B/1"]


class TestPreconditions:
    async def test_rival_between_read_and_write_gets_409_edit_conflict(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

        response = await patch(http, {"op": "add", "path": "/track_tokens/-", "value": "B/1"})

        assert code_of(response) == (409, "edit-conflict")
        assert response.json()["current"]["playlist_name"] == "Rival"
        assert (await http.get("/playlists/p1")).json()["track_tokens"] == MINE["track_tokens"]

    async def test_if_match_is_held_at_the_read(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        first = await patch(http, RENAME, headers={"If-Match": created.headers["etag"]})
        second = await patch(http, RENAME, headers={"If-Match": created.headers["etag"]})

        assert first.status_code == 200
        assert code_of(second) == (412, "precondition-failed")


class TestPreconditionRequired:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, require_precondition=True)

    async def test_if_match_is_one_and_a_test_is_none(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        tested = await patch(http, {"op": "test", "path": "/playlist_version", "value": 1}, RENAME)
        matched = await patch(http, RENAME, headers={"If-Match": created.headers["etag"]})

        assert code_of(tested) == (428, "precondition-required")
        assert matched.status_code == 200


class TestTrackTokenPattern:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, track_token_pattern="[A-Z0-9_]+/[0-9a-f]{16}")

    async def test_narrows_what_is_added_and_copied(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", track_tokens={"L": [{"S": "A/1"}]})

        fit = await patch(http, {"op": "add", "path": "/track_tokens/-", "value": "A/00000000000000ff"})
        added = await patch(http, {"op": "add", "path": "/track_tokens/-", "value": "A/1"})
        copied = await patch(http, {"op": "copy", "from": "/track_tokens/0", "path": "/track_tokens/-"})

        assert fit.json()["track_tokens"] == ["A/1", "A/00000000000000ff"]
        assert [answer.json()["errors"][0]["pointer"] for answer in (added, copied)] == ["/0/value", "/0/from"]


class TestOrderOfChecks:
    """Each request has two faults or more; the earlier check in the contract's order answers."""

    async def test_syntax_comes_before_validation(self, http: httpx2.AsyncClient) -> None:
        response = await http.patch("/playlists/nobody", content=MALFORMED, headers={"Content-Type": JSON_PATCH})

        assert code_of(response) == (400, "malformed-request")

    async def test_validation_comes_before_existence(self, http: httpx2.AsyncClient) -> None:
        assert code_of(await patch(http, *INVALID, path="/playlists/nobody")) == (422, "invalid-request")

    async def test_existence_comes_before_preconditions(self, http: httpx2.AsyncClient) -> None:
        response = await patch(http, FAILED_TEST, path="/playlists/nobody", headers={"If-Match": '"x"'})

        assert code_of(response) == (404, "playlist-not-found")

    async def test_preconditions_come_before_the_patch(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        response = await patch(http, FAILED_TEST, headers={"If-Match": '"x"'})

        assert code_of(response) == (412, "precondition-failed")

    async def test_patch_comes_before_an_unwritable_version(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", playlist_version={"N": "1.5"})

        assert code_of(await patch(http, FAILED_TEST)) == (409, "patch-not-applicable")
        assert code_of(await patch(http, RENAME)) == (409, "unwritable-item")
