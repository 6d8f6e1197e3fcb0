"""JSON is strict, and every way to get it wrong has its 4xx and changes nothing."""

import contextlib
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.bodies import BODY_LIMIT, NESTING_LIMIT, strict_json
from app.api.problems import RequestRefused
from tests.api.test_playlists import MERGE_PATCH, MINE, code_of

NAMED = b'{"playlist_name": %s}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'playlist_name': 'x'}",
        b'{"playlist_name": "x",}',
        b'{"playlist_name": "x"} {}',
        NAMED % b'"\xff"',
        NAMED % b'"\xed\xa0\x80"',
        NAMED % b"NaN",
        NAMED % b"-Infinity",
        NAMED % b'"\\ud800"',
        NAMED % b'"\\uDFFF x"',
        b'{"\\uD800": 1}',
        b'{"playlist_name": "a", "playlist_name": "b"}',
        b'{"playlist_name": "a", "playlist\\u005fname": "b"}',
        b'{"x": {"a": 1, "a": 2}}',
        b"[" * 100_000,
        b"[" * 5_000 + b"]" * 5_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        NAMED % b'"a\nb"',
        NAMED % (b"9" * 5_000),
        b"\xef\xbb\xbf{}",
        b"\x00",
        b'"' + b'\\"' * 500_000,
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_malformed_body_gets_400_and_changes_nothing(http: httpx2.AsyncClient, body: bytes) -> None:
    created = await http.put("/playlists/p1", json=MINE)

    response = await http.patch("/playlists/p1", content=body, headers=MERGE_PATCH)

    assert code_of(response) == (400, "malformed-request")
    assert (await http.get("/playlists/p1")).json() == created.json()


async def test_nesting_up_to_the_bound_is_read_and_beyond_it_is_not() -> None:
    within, beyond = (b"[" * depth + b"]" * depth for depth in (NESTING_LIMIT, NESTING_LIMIT + 1))

    strict_json(within)
    assert strict_json(b'"' + b"[{" * 500 + b'\\""') == "[{" * 500 + '"'
    with pytest.raises(RequestRefused):
        strict_json(beyond)


@pytest.mark.parametrize("number", [b"1e400", b"1E+400", b"-0", b"1.0000000000000001"])
async def test_number_in_place_of_a_name_gets_422(http: httpx2.AsyncClient, number: bytes) -> None:
    response = await http.patch("/playlists/p1", content=NAMED % number, headers=MERGE_PATCH)

    assert code_of(response) == (422, "invalid-request")


async def test_escaped_backslash_before_a_surrogate_is_text(http: httpx2.AsyncClient) -> None:
    response = await http.put(
        "/playlists/p1",
        content=b'{"playlist_name": "\\\\ud800", "track_tokens": []}',
        headers={"Content-Type": "application/json"},
    )

    assert response.json()["playlist_name"] == "\\ud800"


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "text/plain",
        "application/xml",
        "application/patch+json",
        "application/jsonx",
        "multipart/form-data",
        "application/json; charset=utf-16",
    ],
)
async def test_missing_or_wrong_media_type_gets_415_with_the_ones_taken(
    http: httpx2.AsyncClient, media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}

    response = await http.patch("/playlists/p1", content=b"{}", headers=headers)

    assert code_of(response) == (415, "unsupported-media-type")
    assert (
        response.headers["accept-patch"]
        == "application/merge-patch+json, application/json, application/json-patch+json"
    )


@pytest.mark.parametrize(("method", "path"), [("POST", "/playlists"), ("PUT", "/playlists/p1")])
async def test_merge_patch_is_for_patch_alone(http: httpx2.AsyncClient, method: str, path: str) -> None:
    response = await http.request(method, path, content=b"{}", headers=MERGE_PATCH)

    assert code_of(response) == (415, "unsupported-media-type")
    assert response.headers["accept"] == "application/json"


async def test_content_coding_gets_415(http: httpx2.AsyncClient) -> None:
    response = await http.patch("/playlists/p1", content=b"{}", headers={**MERGE_PATCH, "Content-Encoding": "gzip"})

    assert code_of(response) == (415, "unsupported-media-type")


async def test_body_over_the_limit_gets_413_with_a_content_length(http: httpx2.AsyncClient) -> None:
    response = await http.patch("/playlists/p1", content=b" " * (BODY_LIMIT + 1), headers=MERGE_PATCH)

    assert code_of(response) == (413, "body-too-large")
    assert response.json()["limit"] == BODY_LIMIT


@pytest.mark.parametrize("declared", ["1048577", "9" * 5_000])
async def test_content_length_over_the_limit_gets_413_before_the_body_is_read(
    http: httpx2.AsyncClient, declared: str
) -> None:
    response = await http.patch("/playlists/p1", content=b"{}", headers={**MERGE_PATCH, "Content-Length": declared})

    assert code_of(response) == (413, "body-too-large")


async def test_body_over_the_limit_gets_413_chunked(http: httpx2.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65_536

    response = await http.patch("/playlists/p1", content=chunks(), headers=MERGE_PATCH)

    assert code_of(response) == (413, "body-too-large")


async def test_body_of_exactly_the_limit_is_read(http: httpx2.AsyncClient) -> None:
    await http.put("/playlists/p1", json=MINE)

    response = await http.patch("/playlists/p1", content=b"{}".ljust(BODY_LIMIT), headers=MERGE_PATCH)

    assert response.status_code == 200


async def test_thousands_of_faults_are_listed_up_to_a_bound(http: httpx2.AsyncClient) -> None:
    response = await http.patch("/playlists/p1", json={"track_tokens": ["x"] * 10_000})

    assert code_of(response) == (422, "invalid-request")
    assert len(response.json()["errors"]) == 50


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=60) | st.text('{}[]":,\\ud8e1truefalsn', max_size=30).map(str.encode))
def test_reading_json_is_total(body: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        strict_json(body)


@given(_JSON, st.booleans())
def test_strict_json_reads_what_json_writes(value: object, ascii_only: bool) -> None:
    try:
        body = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    try:
        assert strict_json(body) == value
    except RequestRefused:
        with pytest.raises(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()
