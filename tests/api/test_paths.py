"""Paths: split first, decoded then, so that every token that a list shows names one playlist (RFC 3986 section 2.4)."""

import urllib.request
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from app.main import create_app
from app.settings import Settings
from tests.api.test_playlists import code_of
from tests.servers import running_playlists, without
from tests.writers import OtherProgram

TOKENS = {"a/b": "a%2Fb", "a%2Fb": "a%252Fb", "a/": "a%2f", "/": "%2F", "SL/plays": "SL%2Fplays", "ä/🎵 #?": None}
each_token = pytest.mark.parametrize("token", TOKENS)


def path_of(token: str) -> str:
    return f"/playlists/{TOKENS[token] or quote(token, safe='')}"


@each_token
async def test_every_operation_is_on_the_playlist_whose_token_is_the_whole_segment(
    http: httpx2.AsyncClient, other_program: OtherProgram, token: str
) -> None:
    other_program.put_playlist(token)
    path = path_of(token)

    answers: list[Any] = [
        await http.get(path),
        await http.head(path),
        await http.patch(path, json={"playlist_name": "New"}),
        await http.put(path, json={"playlist_name": "Newer", "track_tokens": [], "playlist_token": token}),
        await http.post(f"{path}/tracks", json={"track_tokens": ["A/1"]}),
        await http.post(f"{path}/plays"),
        await http.get(f"{path}/plays"),
    ]
    stored = other_program.read(token)
    deleted = await http.delete(path)

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert {answer.json()["playlist_token"] for answer in answers if answer.content} == {token}
    assert stored is not None
    assert (stored["playlist_version"], stored["track_tokens"]) == ({"N": "4"}, {"L": [{"S": "A/1"}]})
    assert deleted.status_code == 204
    assert other_program.read(token) is None
    assert other_program.read(token, "PLAYS_") is None


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
async def test_encoded_slash_reaches_no_other_resource(
    http: httpx2.AsyncClient, other_program: OtherProgram, slash: str
) -> None:
    other_program.put_playlist("SL")

    played = await http.post(f"/playlists/SL{slash}plays")
    appended = await http.post(f"/playlists/SL{slash}tracks", json={"track_tokens": ["A/1"]})
    elsewhere = await http.get(f"/playlists{slash}SL")

    assert code_of(played) == code_of(appended) == (405, "method-not-allowed")
    assert code_of(elsewhere) == (404, "not-found")
    assert (await http.get("/playlists/SL/plays")).json()["play_count"] == 0
    assert (await http.get("/playlists/SL")).json()["track_tokens"] == []


async def test_token_with_a_slash_is_not_created(http: httpx2.AsyncClient, other_program: OtherProgram) -> None:
    refused = await http.put("/playlists/a%2Fb", json={"playlist_name": "Mine", "track_tokens": []})

    assert code_of(refused) == (422, "invalid-request")
    assert other_program.read("a/b") is None


async def test_every_token_that_a_list_shows_can_be_read(http: httpx2.AsyncClient, other_program: OtherProgram) -> None:
    for token in TOKENS:
        other_program.put_playlist(token, playlist_owner={"S": "anonymous"})

    page = (await http.get("/playlists?limit=3")).json()
    shown = page["items"]
    shown += (await http.get(f"/playlists?cursor={page['next_cursor']}")).json()["items"]

    assert {playlist["playlist_token"] for playlist in shown} == set(TOKENS)
    for playlist in shown:
        token = playlist["playlist_token"]
        read = await http.get(f"/playlists/{quote(token, safe='')}")
        assert read.json()["playlist_token"] == token


@pytest.mark.parametrize("traced", [False, True], ids=["not traced", "traced"])
def test_encoded_slash_over_a_connection(other_program: OtherProgram, table_name: str, traced: bool) -> None:
    other_program.put_playlist("a/b")
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    if traced:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"

    with running_playlists("serve", environment=environment) as served:
        request = urllib.request.Request(f"{served.url}/playlists/a%2Fb/plays", method="POST")
        with urllib.request.urlopen(request) as answer:
            played = answer.read()
        with urllib.request.urlopen(f"{served.url}/playlists/a%2Fb") as answer:
            read = answer.read()

    assert b'"playlist_token":"a/b"' in played
    assert b'"playlist_token":"a/b"' in read


@pytest.mark.parametrize(
    ("path", "allow", "accept_patch"),
    [
        ("/playlists", "GET, HEAD, OPTIONS, POST", None),
        (
            "/playlists/p1",
            "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
            "application/merge-patch+json, application/json, application/json-patch+json",
        ),
        ("/playlists/a%2Fb/tracks", "OPTIONS, POST", None),
        ("/playlists/p1/plays", "GET, HEAD, OPTIONS, POST", None),
        ("/livez", "GET, HEAD, OPTIONS", None),
        ("/docs", "GET, HEAD, OPTIONS", None),
        ("/openapi.json", "GET, HEAD, OPTIONS", None),
        ("/assets/icon.svg", "GET, HEAD, OPTIONS", None),
    ],
)
async def test_options_answers_with_the_methods_of_the_path(
    http: httpx2.AsyncClient, path: str, allow: str, accept_patch: str | None
) -> None:
    response = await http.options(path)

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == allow
    assert response.headers.get("accept-patch") == accept_patch


@pytest.mark.parametrize("path", ["/nowhere", "/assets/nothing.js", "/docs/assets/nothing.js", "/playlists/"])
async def test_options_of_a_path_that_does_not_exist_is_not_found(http: httpx2.AsyncClient, path: str) -> None:
    assert code_of(await http.options(path)) == (404, "not-found")


async def test_options_of_the_whole_server_is_answered(http: httpx2.AsyncClient, settings: Settings) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "OPTIONS", "path": "*", "raw_path": b"*", "query_string": b"", "headers": []}
    await create_app(settings)({**scope, "root_path": "", "state": {}}, receive, send)

    assert sent[0]["status"] == 204


async def test_unknown_method_is_501_also_where_there_is_nothing(http: httpx2.AsyncClient) -> None:
    assert code_of(await http.request("FROB", "/nowhere")) == (501, "method-not-implemented")


async def test_content_type_that_cannot_be_decoded_is_not_supported(
    http: httpx2.AsyncClient, other_program: OtherProgram
) -> None:
    other_program.put_playlist("p1")
    headers = {"Content-Type": f"application/json; charset*{'9' * 5_000}=x"}

    assert code_of(await http.patch("/playlists/p1", content=b"{}", headers=headers)) == (415, "unsupported-media-type")


@pytest.mark.parametrize("end", ["%0A", "%0D%0A", "%00", "%20"])
async def test_character_after_the_last_segment_reaches_no_other_resource(
    http: httpx2.AsyncClient, other_program: OtherProgram, end: str
) -> None:
    other_program.put_playlist("SL")

    answers = [
        await http.post(f"/playlists/SL/plays{end}"),
        await http.post(f"/playlists/SL/tracks{end}", json={"track_tokens": ["A/1"]}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert (await http.get("/playlists/SL/plays")).json()["play_count"] == 0
    assert (await http.get("/playlists/SL")).json()["track_tokens"] == []


@pytest.mark.parametrize(
    "lines",
    [
        [("Content-Type", "application/json"), ("Content-Type", "application/json-patch+json")],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    ],
    ids=lambda lines: lines[0][0],
)
async def test_field_that_may_stand_once_and_stands_twice_with_different_values_is_malformed(
    http: httpx2.AsyncClient, other_program: OtherProgram, lines: list[tuple[str, str]]
) -> None:
    other_program.put_playlist("p1")
    default = [] if lines[0][0] == "Content-Type" else [("Content-Type", "application/json")]

    refused = await http.patch("/playlists/p1", content=b'{"playlist_name": "New"}', headers=[*default, *lines])

    assert code_of(refused) == (400, "malformed-request")
    assert lines[0][0] in refused.json()["detail"]
