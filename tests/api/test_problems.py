import json
import re
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from starlette.exceptions import HTTPException

from app.api.problem_types import PROBLEM_TYPES
from app.domain import errors
from app.main import create_app
from app.settings import Settings, load_settings
from app.store.items import Condition
from app.store.values import Item
from tests.api.test_playlists import MINE, code_of
from tests.conftest import Interruptions
from tests.test_connection import serving


async def test_unknown_path_is_a_problem(http: httpx2.AsyncClient) -> None:
    for path in ("/nothing", "/playlists/", "/playlists/p1/", "/playlists%2Fa", "/docs/assets/nothing.js"):
        assert code_of(await http.get(path)) == (404, "not-found")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/playlists", "GET, HEAD, OPTIONS, POST"),
        ("/playlists/p1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/docs/assets/start.js", "GET, HEAD, OPTIONS"),
    ],
)
async def test_405_lists_every_method_of_the_path(http: httpx2.AsyncClient, path: str, allow: str) -> None:
    for method in ("TRACE", "QUERY"):
        response = await http.request(method, path)

        assert code_of(response) == (405, "method-not-allowed")
        assert response.headers["allow"] == allow


@pytest.mark.parametrize("method", ["BREW", "PROPFIND"])
async def test_unknown_method_is_not_implemented(http: httpx2.AsyncClient, method: str) -> None:
    assert code_of(await http.request(method, "/playlists")) == (501, "method-not-implemented")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/assets/icon.svg",
        "/docs",
        "/docs/assets/start.js",
        "/livez",
        "/openapi.json",
        "/playlists",
        "/playlists/nobody",
        "/favicon.ico",
        "/problems",
        "/problems/edit-conflict",
        "/problems/nothing",
        "/readyz",
    ],
)
async def test_head_answers_as_get_does_without_content(http: httpx2.AsyncClient, path: str) -> None:
    got, head = await http.get(path), await http.head(path)

    assert head.status_code == got.status_code
    assert head.headers["content-length"] == got.headers["content-length"]
    assert not head.content


async def test_every_problem_type_answers_with_an_explanation(http: httpx2.AsyncClient) -> None:
    for code, kind in PROBLEM_TYPES.items():
        response = await http.get(f"/problems/{code}")

        assert response.status_code == 200
        assert kind.explanation in response.text
    assert code_of(await http.get("/problems/nothing")) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/playlists/nobody", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/problems/nothing", 404),
        ("TRACE", "/playlists", 405),
        ("BREW", "/playlists", 501),
        ("POST", "/playlists", 415),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
    ],
)
async def test_answer_that_caches_might_keep_is_not_stored(
    http: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await http.request(method, path)

    assert (response.status_code, response.headers["cache-control"]) == (status, "no-store")


@pytest.mark.parametrize("sent", ["abc-123", "x" * 128, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
async def test_fit_request_id_is_echoed(http: httpx2.AsyncClient, sent: str) -> None:
    found = await http.put("/playlists/p1", json=MINE, headers={"X-Request-ID": sent})
    missing = await http.get("/playlists/p2", headers={"X-Request-ID": sent})

    assert found.headers["x-request-id"] == missing.headers["x-request-id"] == missing.json()["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<script>", '"'])
async def test_unfit_request_id_is_replaced(http: httpx2.AsyncClient, sent: str) -> None:
    response = await http.get("/livez", headers={"X-Request-ID": sent})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_unforeseen_error_is_a_problem_that_tells_nothing_of_the_inside(
    http: httpx2.AsyncClient, interruptions: Interruptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(interruptions, "get_item", fail)

    response = await http.get("/playlists/p1")

    assert code_of(response) == (500, "internal-error")
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, (400, "malformed-request")),
        (413, (413, "body-too-large")),
        (415, (415, "unsupported-media-type")),
        (422, (422, "invalid-request")),
        (431, (400, "malformed-request")),
        (502, (500, "internal-error")),
    ],
)
async def test_error_that_the_framework_raises_keeps_its_meaning(status: int, answer: tuple[int, str]) -> None:
    app = create_app(load_settings(auth="none"))
    schemas = app.openapi()["components"]

    @app.get("/failing")
    def fail() -> None:
        raise HTTPException(status, "Too bad.", headers={"Accept": "text/plain"})

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://playlists.test") as http:
        response = await http.get("/failing")

    assert code_of(response) == answer
    assert response.json()["detail"] == "Too bad."
    assert response.headers["accept"] == "text/plain"
    schema = {"$ref": f"#/components/schemas/{PROBLEM_TYPES[answer[1]].schema.__name__}", "components": schemas}
    Draft202012Validator(schema).validate(response.json())


async def test_instance_is_the_path_as_it_was_sent(http: httpx2.AsyncClient) -> None:
    response = await http.get("/playlists/a%20b%0A?x=1")

    assert response.json()["instance"] == "/playlists/a%20b%0A"


EVIL = "\r\nX-Evil: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("PUT", "/playlists/a%0d%0aX-Evil:%201", {}, MINE),
        ("PUT", "/playlists/a%E5%98%8D%E5%98%8AX-Evil:1", {}, MINE),
        ("GET", "/playlists/a%0d%0aX-Evil:%201?x=%0d%0aX-Evil:1", {}, None),
        ("GET", "/problems/a%0d%0aX-Evil:%201", {}, None),
        ("GET", "/playlists?cursor=%0d%0aX-Evil:1&limit=%0d%0aX-Evil:1", {}, None),
        ("PUT", "/playlists/p1", {"X-Request-ID": "a%0d%0aX-Evil:1", "Accept": "%0d%0aX-Evil:1"}, MINE),
        ("PUT", "/playlists/p1", {"Idempotency-Key": "%0d%0aX-Evil:1"}, MINE),
        ("PUT", "/playlists/p1", {"If-Match": '"%0d%0aX-Evil:1"'}, MINE),
        ("PUT", "/playlists/p1", {}, {**MINE, "playlist_name": EVIL}),
        ("PUT", "/playlists/p1", {}, {**MINE, "track_tokens": [f"a/{EVIL}"]}),
        ("PUT", "/playlists/p1", {}, {**MINE, EVIL: EVIL}),
        ("PUT", "/playlists/p1", {}, {**MINE, "playlist_token": EVIL}),
        ("POST", "/playlists/p1/tracks", {}, {"track_tokens": [f"a/{EVIL}"], "on_duplicate": EVIL}),
        (f"X-EVIL{'G' * 20}", "/playlists/p1", {}, None),
    ],
)
async def test_nothing_that_a_client_sends_makes_a_header_of_the_answer(
    settings: Settings, method: str, target: str, headers: dict[str, str], body: Any
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    fields = {"Host": "x", "Connection": "close", "Content-Type": "application/json", **headers}
    fields["Content-Length"] = str(len(content))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    async with serving(create_app(settings)) as served:
        [answer] = await served.answers(head.encode() + b"\r\n" + content)

    lines = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert not [line for line in lines if line.startswith(b"x-evil") or b"\r" in line or b"\n" in line]
    assert len([line for line in lines if line.startswith(b"content-length")]) == 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        ("Throttled", (503, "throttled")),
        ("StorageUnavailable", (503, "storage-unavailable")),
        ("OutcomeUnknown", (504, "outcome-unknown")),
    ],
)
async def test_failures_of_the_store_say_whether_a_retry_is_safe(
    http: httpx2.AsyncClient,
    interruptions: Interruptions,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
    answer: tuple[int, str],
) -> None:
    failure = getattr(errors, error)
    raised = failure() if error == "Throttled" else failure("ReadTimeoutError: secret-endpoint")

    async def fail(item: Item, condition: Condition) -> None:
        raise raised

    monkeypatch.setattr(interruptions, "put_item", fail)

    response = await http.put("/playlists/p1", json=MINE)

    assert code_of(response) == answer
    assert ("retry-after" in response.headers) == (response.status_code == 503)
    assert "secret" not in response.text
