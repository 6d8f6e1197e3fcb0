"""The playlists over HTTP: what each request does and answers, in the contract's order of checks."""

import json
from typing import Any

import httpx2
import pytest

from app.settings import Settings, load_settings
from app.store.attempts import Attempts
from app.store.dynamodb import DynamoDBTable
from app.store.playlists import PlaylistRepository
from tests.conftest import Interruptions
from tests.writers import ME, OtherProgram

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
MINE = {"playlist_name": "Mine", "track_tokens": ["A/1", "A/2"]}


@pytest.fixture
async def created(http: httpx2.AsyncClient) -> httpx2.Response:
    """The answer that created p1."""
    return await http.put("/playlists/p1", json=MINE)


async def rename(http: httpx2.AsyncClient, name: str, **options: Any) -> httpx2.Response:
    return await http.patch("/playlists/p1", json={"playlist_name": name, **options.pop("also", {})}, **options)


def code_of(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["request_id"] == response.headers["x-request-id"]
    return response.status_code, problem["code"]


class TestCreate:
    async def test_answers_201_with_the_playlist_its_location_and_its_entity_tag(
        self, http: httpx2.AsyncClient
    ) -> None:
        response = await http.post("/playlists", json=MINE)

        playlist = response.json()
        assert response.status_code == 201
        assert response.headers["location"] == f"/playlists/{playlist['playlist_token']}"
        assert response.headers["etag"].startswith('"1-')
        assert playlist.items() >= {**MINE, "playlist_version": 1, "playlist_owner": "anonymous"}.items()
        assert (await http.get(response.headers["location"])).json() == playlist

    async def test_makes_tokens_that_sort_by_time(self, http: httpx2.AsyncClient) -> None:
        tokens = []
        for _ in range(3):
            tokens.append((await http.post("/playlists", json={"playlist_name": "Mine"})).json()["playlist_token"])

        assert len(set(tokens)) == 3
        assert [token[:10] for token in tokens] == sorted(token[:10] for token in tokens)

    async def test_tracks_are_none_if_left_out(self, http: httpx2.AsyncClient) -> None:
        response = await http.post("/playlists", json={"playlist_name": "Mine"})

        assert response.json()["track_tokens"] == []


class TestRead:
    async def test_answers_the_playlist_with_its_entity_tag(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        response = await http.get("/playlists/p1")

        assert response.status_code == 200
        assert response.json() == created.json()
        assert response.headers["etag"] == created.headers["etag"]
        assert response.headers["cache-control"] == "private, no-cache"

    async def test_head_answers_the_headers_alone(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        response = await http.head("/playlists/p1")

        assert response.status_code == 200
        assert response.headers["etag"] == created.headers["etag"]
        assert (await http.head("/playlists/p2")).status_code == 404

    @pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
    async def test_answers_304_where_if_none_match_names_the_state(
        self, http: httpx2.AsyncClient, created: httpx2.Response, form: str
    ) -> None:
        field_value = form.format(created.headers["etag"])

        response = await http.get("/playlists/p1", headers={"If-None-Match": field_value})

        assert response.status_code == 304
        assert response.headers["etag"] == created.headers["etag"]

    async def test_false_if_match_gets_412(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        headers = {"If-Match": '"x"', "If-None-Match": created.headers["etag"]}

        assert code_of(await http.get("/playlists/p1", headers=headers)) == (412, "precondition-failed")
        assert (await http.get("/playlists/p1", headers={"If-Match": "*"})).status_code == 200

    async def test_answers_200_where_if_none_match_names_another(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        await rename(http, "New")

        response = await http.get("/playlists/p1", headers={"If-None-Match": created.headers["etag"]})

        assert response.status_code == 200

    async def test_answers_404_for_no_playlist(self, http: httpx2.AsyncClient) -> None:
        assert code_of(await http.get("/playlists/nobody")) == (404, "playlist-not-found")
        assert code_of(await http.get("/playlists/" + "x" * 3000)) == (404, "playlist-not-found")

    async def test_answers_what_another_program_stored(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("PL 1#ä", playlist_version={"N": "1.5"}, playlist_name=None, track_tokens=None)

        response = await http.get("/playlists/PL%201%23%C3%A4")

        assert response.status_code == 200
        assert response.json() == {
            "playlist_token": "PL 1#ä",
            "playlist_name": "",
            "playlist_version": None,
            "track_tokens": [],
            "track_count": 0,
            "playlist_owner": None,
            "created_at": None,
            "updated_at": None,
        }


class TestEdit:
    @pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json; charset=UTF-8"])
    async def test_renames(self, http: httpx2.AsyncClient, created: httpx2.Response, media_type: str) -> None:
        response = await http.patch(
            "/playlists/p1", content=b'{"playlist_name": "New \\ud83c\\udfb5"}', headers={"Content-Type": media_type}
        )

        assert response.status_code == 200
        assert response.json().items() >= {**MINE, "playlist_name": "New 🎵", "playlist_version": 2}.items()
        assert response.headers["etag"] == (await http.get("/playlists/p1")).headers["etag"]

    async def test_replaces_tracks_and_name_together(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        response = await http.patch("/playlists/p1", json={"playlist_name": "New", "track_tokens": ["B/1", "B/1"]})

        assert response.json()["track_tokens"] == ["B/1", "B/1"]
        assert response.json()["playlist_version"] == 2

    @pytest.mark.parametrize("patch", [{}, {"playlist_name": "Mine"}, MINE, {"playlist_version": 1}])
    async def test_change_that_changes_nothing_writes_nothing(
        self, http: httpx2.AsyncClient, created: httpx2.Response, patch: Any, other_program: OtherProgram
    ) -> None:
        before = other_program.read("p1")

        response = await http.patch("/playlists/p1", json=patch)

        assert response.status_code == 200
        assert response.headers["etag"] == created.headers["etag"]
        assert response.json() == created.json()
        assert other_program.read("p1") == before

    @pytest.mark.parametrize("form", ["{}", '"x", {}', "*"])
    async def test_is_made_where_if_match_names_the_state(
        self, http: httpx2.AsyncClient, created: httpx2.Response, form: str
    ) -> None:
        response = await rename(http, "New", headers={"If-Match": form.format(created.headers["etag"])})

        assert response.status_code == 200

    async def test_several_if_match_lines_are_one_list(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        lines = [("If-Match", '"x"'), ("If-Match", created.headers["etag"])]

        response = await rename(http, "New", headers=lines)

        assert response.status_code == 200

    async def test_stale_if_match_gets_412_with_all_it_needs_to_go_on(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        other = await rename(http, "Other")

        response = await rename(http, "New", headers={"If-Match": created.headers["etag"]})

        problem = response.json()
        assert code_of(response) == (412, "precondition-failed")
        assert problem["expected_etag"] == created.headers["etag"]
        assert problem["current"] == other.json()
        assert problem["current_etag"] == other.headers["etag"]
        assert "changed" not in problem
        retried = await rename(http, "New", headers={"If-Match": problem["current_etag"]})
        assert retried.status_code == 200

    async def test_weak_if_match_never_holds(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        response = await rename(http, "New", headers={"If-Match": f"W/{created.headers['etag']}"})

        assert code_of(response) == (412, "precondition-failed")

    async def test_if_none_match_that_names_the_state_gets_412(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        assert code_of(await rename(http, "New", headers={"If-None-Match": "*"})) == (412, "precondition-failed")

    async def test_stale_version_gets_409(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        other = await rename(http, "Other")

        response = await rename(http, "New", also={"playlist_version": 1})

        problem = response.json()
        assert code_of(response) == (409, "version-conflict")
        assert (problem["expected_version"], problem["expected_etag"]) == (1, None)
        assert problem["current"] == other.json()

    async def test_current_version_as_any_json_integer_is_taken(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        response = await http.patch(
            "/playlists/p1", content=b'{"playlist_name": "New", "playlist_version": 1.0}', headers=MERGE_PATCH
        )

        assert response.status_code == 200

    async def test_rival_between_read_and_write_gets_409_with_what_changed(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

        response = await rename(http, "New")

        problem = response.json()
        assert code_of(response) == (409, "edit-conflict")
        assert problem["changed"] == ["playlist_name", "playlist_version"]
        assert problem["expected_etag"] == created.headers["etag"]
        assert problem["current"] == (await http.get("/playlists/p1")).json()
        assert problem["current"]["playlist_name"] == "Rival"
        retried = await rename(http, "New", headers={"If-Match": problem["current_etag"]})
        assert retried.status_code == 200

    @pytest.mark.parametrize(
        ("precondition", "answer"),
        [("If-Match", (412, "precondition-failed")), ("playlist_version", (409, "version-conflict"))],
    )
    async def test_precondition_that_stops_holding_before_the_write_is_answered_as_at_the_read(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
        precondition: str,
        answer: tuple[int, str],
    ) -> None:
        interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")
        options: dict[str, Any] = {"also": {"playlist_version": 1}}
        if precondition == "If-Match":
            options = {"headers": {"If-Match": created.headers["etag"]}}

        response = await rename(http, "New", **options)

        assert code_of(response) == answer
        assert response.json()["changed"] == ["playlist_name", "playlist_version"]

    async def test_if_match_of_any_state_still_conflicts_with_a_rival(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

        assert code_of(await rename(http, "New", headers={"If-Match": "*"})) == (409, "edit-conflict")

    async def test_playlist_deleted_between_read_and_write_gets_404(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.delete("p1")

        response = await rename(http, "New", headers={"If-Match": created.headers["etag"]})

        assert code_of(response) == (404, "playlist-not-found")
        assert other_program.read("p1") is None

    async def test_recreated_playlist_does_not_fit_the_entity_tag_of_the_deleted_one(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        await http.delete("/playlists/p1")
        recreated = await http.put("/playlists/p1", json=MINE)

        response = await rename(http, "New", headers={"If-Match": created.headers["etag"]})

        assert code_of(response) == (412, "precondition-failed")
        assert response.json()["current"] == recreated.json()

    async def test_unwritable_item_gets_409(self, http: httpx2.AsyncClient, other_program: OtherProgram) -> None:
        other_program.put_playlist("p1", playlist_version={"N": str(2**63 - 1)})

        response = await rename(http, "New")

        assert code_of(response) == (409, "unwritable-item")
        assert response.json()["current"]["playlist_version"] is None

    @pytest.mark.parametrize(
        ("patch", "pointer"),
        [
            ({"playlist_name": None}, "/playlist_name"),
            ({"playlist_name": ""}, "/playlist_name"),
            ({"playlist_name": 5}, "/playlist_name"),
            ({"playlist_name": "a\nb"}, "/playlist_name"),
            ({"track_tokens": None}, "/track_tokens"),
            ({"track_tokens": "A/1"}, "/track_tokens"),
            ({"track_tokens": ["A/1", "x"]}, "/track_tokens/1"),
            ({"playlist_version": "1"}, "/playlist_version"),
            ({"playlist_version": 1.5}, "/playlist_version"),
            ({"playlist_version": True}, "/playlist_version"),
            ({"playlist_version": 2**63}, "/playlist_version"),
            ({"playlist_version": None}, "/playlist_version"),
            ({"playlist_token": "p1"}, "/playlist_token"),
            ({"a/b~c": 1}, "/a~1b~0c"),
            ([], ""),
            ("New", ""),
            (None, ""),
        ],
    )
    async def test_invalid_patch_gets_422_with_a_pointer_and_changes_nothing(
        self, http: httpx2.AsyncClient, created: httpx2.Response, patch: Any, pointer: str
    ) -> None:
        response = await http.patch("/playlists/p1", content=json.dumps(patch), headers=MERGE_PATCH)

        assert code_of(response) == (422, "invalid-request")
        assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
        assert (await http.get("/playlists/p1")).json() == created.json()

    async def test_playlist_over_the_item_limit_gets_413_with_size_and_limit(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        tracks = [f"{'x' * 128}/{n:0128}" for n in range(1_600)]

        response = await http.patch("/playlists/p1", json={"track_tokens": tracks})

        assert code_of(response) == (413, "playlist-too-large")
        assert response.json()["size"] > response.json()["limit"] == 409_600
        assert (await http.get("/playlists/p1")).json() == created.json()


class TestOrderOfChecks:
    """Each request has two faults or more; the earlier check in the contract's order answers."""

    async def test_media_type_comes_before_the_body(self, http: httpx2.AsyncClient) -> None:
        response = await http.patch("/playlists/nobody", content=b"{", headers={"Content-Type": "text/plain"})

        assert code_of(response) == (415, "unsupported-media-type")

    async def test_syntax_comes_before_validation(self, http: httpx2.AsyncClient) -> None:
        response = await http.patch("/playlists/nobody", content=b'{"x": 1,}', headers=MERGE_PATCH)

        assert code_of(response) == (400, "malformed-request")

    async def test_precondition_syntax_comes_before_existence(self, http: httpx2.AsyncClient) -> None:
        response = await http.patch("/playlists/nobody", json={}, headers={"If-Match": "3-abc"})

        assert code_of(response) == (400, "malformed-request")

    async def test_precondition_syntax_comes_before_validation(self, http: httpx2.AsyncClient) -> None:
        response = await http.patch("/playlists/nobody", json={"x": 1}, headers={"If-Match": "3-abc"})

        assert code_of(response) == (400, "malformed-request")

    async def test_validation_comes_before_existence(self, http: httpx2.AsyncClient) -> None:
        assert code_of(await http.patch("/playlists/nobody", json={"x": 1})) == (422, "invalid-request")

    async def test_existence_comes_before_preconditions(self, http: httpx2.AsyncClient) -> None:
        response = await http.patch("/playlists/nobody", json={}, headers={"If-Match": '"x"'})

        assert code_of(response) == (404, "playlist-not-found")

    async def test_if_match_comes_before_the_version(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        response = await rename(http, "New", also={"playlist_version": 9}, headers={"If-Match": '"x"'})

        assert code_of(response) == (412, "precondition-failed")

    async def test_preconditions_come_before_the_change(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", playlist_version={"N": "1.5"})

        response = await rename(http, "New", headers={"If-Match": '"x"'})

        assert code_of(response) == (412, "precondition-failed")


class TestPut:
    async def test_creates_with_201_and_replaces_with_200(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        replaced = await http.put("/playlists/p1", json={"playlist_name": "Second", "track_tokens": []})

        assert created.status_code == 201
        assert created.headers["location"] == "/playlists/p1"
        assert replaced.status_code == 200
        assert replaced.json().items() >= {"playlist_name": "Second", "track_tokens": [], "playlist_version": 2}.items()

    async def test_takes_back_what_get_answered_with_an_edit(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        read = (await http.get("/playlists/p1")).json()

        first = await http.put("/playlists/p1", json={**read, "playlist_name": "First"})
        second = await http.put("/playlists/p1", json={**read, "playlist_name": "Second"})

        assert first.status_code == 200
        assert code_of(second) == (409, "version-conflict")
        assert second.json()["current"] == first.json()

    async def test_edit_of_a_deleted_playlist_does_not_make_it_again(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        await http.delete("/playlists/p1")

        response = await http.put("/playlists/p1", json=created.json())

        assert code_of(response) == (409, "version-conflict")
        assert response.json()["current"] is None
        assert (await http.get("/playlists/p1")).status_code == 404

    async def test_if_none_match_any_creates_only(self, http: httpx2.AsyncClient) -> None:
        first = await http.put("/playlists/p1", json=MINE, headers={"If-None-Match": "*"})
        second = await http.put("/playlists/p1", json=MINE, headers={"If-None-Match": "*"})

        assert first.status_code == 201
        assert code_of(second) == (412, "precondition-failed")
        assert second.json()["current"] == first.json()

    async def test_if_match_replaces_only(self, http: httpx2.AsyncClient) -> None:
        response = await http.put("/playlists/p1", json=MINE, headers={"If-Match": "*"})

        assert code_of(response) == (412, "precondition-failed")
        assert (response.json()["current"], response.json()["current_etag"]) == (None, None)
        assert (await http.get("/playlists/p1")).status_code == 404

    @pytest.mark.parametrize(
        ("headers", "answer"),
        [({}, (409, "playlist-exists")), ({"If-None-Match": "*"}, (412, "precondition-failed"))],
    )
    async def test_lost_race_to_create_is_told_with_the_winner(
        self,
        http: httpx2.AsyncClient,
        other_program: OtherProgram,
        interruptions: Interruptions,
        headers: dict[str, str],
        answer: tuple[int, str],
    ) -> None:
        interruptions.before_write = lambda: other_program.put_playlist("p1")

        response = await http.put("/playlists/p1", json=MINE, headers=headers)

        assert code_of(response) == answer
        assert response.json()["current"]["playlist_name"] == "Theirs"

    async def test_playlist_deleted_between_read_and_write_is_created(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.delete("p1")

        response = await http.put("/playlists/p1", json={**MINE, "playlist_name": "New"})

        assert (response.status_code, response.json()["playlist_version"]) == (201, 1)

    async def test_playlist_deleted_between_read_and_write_fails_if_match(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.delete("p1")
        body = {**MINE, "playlist_name": "New"}

        response = await http.put("/playlists/p1", json=body, headers={"If-Match": created.headers["etag"]})

        assert code_of(response) == (412, "precondition-failed")
        assert response.json()["current"] is None

    @pytest.mark.parametrize("token", ["a%20b", "x" * 129, "%C3%A4", "a%00"])
    async def test_refuses_to_create_under_an_unfit_token(self, http: httpx2.AsyncClient, token: str) -> None:
        assert code_of(await http.put(f"/playlists/{token}", json=MINE)) == (422, "invalid-request")

    async def test_replaces_under_a_token_that_another_program_chose(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("a b")

        assert (await http.put("/playlists/a%20b", json=MINE)).status_code == 200

    @pytest.mark.parametrize(
        "body",
        [
            {"playlist_name": "Mine"},
            {"track_tokens": []},
            {**MINE, "playlist_token": "p2"},
            {**MINE, "playlist_token": 1},
            {**MINE, "x": 1},
        ],
    )
    async def test_refuses_an_incomplete_or_foreign_body(self, http: httpx2.AsyncClient, body: Any) -> None:
        assert code_of(await http.put("/playlists/p1", json=body)) == (422, "invalid-request")
        assert (await http.get("/playlists/p1")).status_code == 404

    async def test_keeps_the_attributes_of_another_program(
        self, http: httpx2.AsyncClient, other_program: OtherProgram
    ) -> None:
        other_program.put_playlist("p1", cover={"B": b"\x00\xff"})

        await http.put("/playlists/p1", json=MINE)

        item = other_program.read("p1")
        assert item is not None
        assert item["cover"] == {"B": b"\x00\xff"}


class TestDelete:
    async def test_answers_204_and_then_404(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        response = await http.delete("/playlists/p1", headers={"If-Match": created.headers["etag"]})

        assert response.status_code == 204
        assert code_of(await http.delete("/playlists/p1")) == (404, "playlist-not-found")

    async def test_stale_if_match_gets_412_and_deletes_nothing(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        other = await rename(http, "Other")

        response = await http.delete("/playlists/p1", headers={"If-Match": created.headers["etag"]})

        assert code_of(response) == (412, "precondition-failed")
        assert (await http.get("/playlists/p1")).json() == other.json()

    async def test_rival_between_read_and_delete_gets_409_and_survives(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        interruptions.before_write = lambda: other_program.rename_in_place("p1", "Rival")

        response = await http.delete("/playlists/p1")

        assert code_of(response) == (409, "edit-conflict")
        assert response.json()["changed"] == ["playlist_name", "playlist_version"]
        assert (await http.get("/playlists/p1")).json()["playlist_name"] == "Rival"

    async def test_recreated_playlist_is_not_deleted_for_the_old_one(
        self,
        http: httpx2.AsyncClient,
        created: httpx2.Response,
        other_program: OtherProgram,
        interruptions: Interruptions,
    ) -> None:
        def recreate_at_the_same_version() -> None:
            item = other_program.read("p1")
            assert item is not None
            other_program.delete("p1")
            other_program.put({**item, "recent_writes": {"L": [{"S": "another_token___"}]}})

        interruptions.before_write = recreate_at_the_same_version

        assert code_of(await http.delete("/playlists/p1")) == (409, "edit-conflict")
        assert other_program.read("p1") is not None


class TestPreconditionRequired:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, require_precondition=True)

    async def test_writes_without_one_get_428_and_change_nothing(
        self, http: httpx2.AsyncClient, created: httpx2.Response
    ) -> None:
        answers = [
            await rename(http, "New"),
            await http.put("/playlists/p1", json=MINE),
            await http.delete("/playlists/p1"),
        ]

        assert {code_of(answer) for answer in answers} == {(428, "precondition-required")}
        assert answers[0].json()["current_etag"] == created.headers["etag"]
        assert (await http.get("/playlists/p1")).json() == created.json()

    async def test_writes_with_one_are_made(self, http: httpx2.AsyncClient, created: httpx2.Response) -> None:
        renamed = await rename(http, "New", headers={"If-Match": created.headers["etag"]})
        replaced = await http.put("/playlists/p1", json={**MINE, "playlist_version": 2})
        deleted = await http.delete("/playlists/p1", headers={"If-Match": replaced.headers["etag"]})

        assert [renamed.status_code, replaced.status_code, deleted.status_code] == [200, 200, 204]

    async def test_missing_playlist_comes_first(self, http: httpx2.AsyncClient) -> None:
        assert code_of(await rename(http, "New")) == (404, "playlist-not-found")


class TestTrackTokenPattern:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, track_token_pattern="[A-Z0-9_]+/[0-9a-f]{16}")

    async def test_narrows_what_is_taken(self, http: httpx2.AsyncClient) -> None:
        fit = await http.put("/playlists/p1", json={**MINE, "track_tokens": ["ALBUM_1/00000000000000ff"]})
        unfit = await http.patch("/playlists/p1", json={"track_tokens": ["ALBUM_1/TRACK_1"]})

        assert fit.status_code == 201
        assert code_of(unfit) == (422, "invalid-request")
        assert "[0-9a-f]{16}" in unfit.json()["errors"][0]["detail"]


class TestMrecWriteRegion:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, mrec_write_region="ap-southeast-2")

    @pytest.fixture
    def stored(self, other_program: OtherProgram) -> None:
        other_program.put_playlist("p1")

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
    async def test_elsewhere_writes_are_refused_with_the_region_to_go_to(
        self, http: httpx2.AsyncClient, stored: None, method: str
    ) -> None:
        path = "/playlists" if method == "POST" else "/playlists/p1"
        before = await http.get("/playlists/p1")

        response = await http.request(method, path, json=None if method == "DELETE" else MINE)

        assert code_of(response) == (503, "read-only-region")
        assert "ap-southeast-2" in response.json()["detail"]
        assert response.headers["retry-after"]
        assert (await http.get("/playlists/p1")).json() == before.json()

    async def test_elsewhere_reads_are_served(self, http: httpx2.AsyncClient, stored: None) -> None:
        assert (await http.get("/playlists/p1")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200

    async def test_there_writes_are_accepted(self, client: Any, table_name: str, stored: None) -> None:
        table = DynamoDBTable(client, table_name, write_region=client.meta.region_name)
        playlists = PlaylistRepository(table, Attempts(load_settings()))

        renamed = (await playlists.update("p1", lambda playlist: playlist.renamed("Ours"), caller=ME)).playlist

        assert renamed.playlist_name == "Ours"
