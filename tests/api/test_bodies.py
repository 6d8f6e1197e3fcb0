"""JSON is strict, and every way to get it wrong has its 4xx and changes nothing."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.api.bodies import NESTING_LIMIT, strict_json
from app.api.problems import RequestRefused
from app.api.schemas import BODY_LIMIT, TRACKS_LIMIT, PlaylistMergePatch
from tests.api.test_playlists import MERGE_PATCH, MINE, code_of
from tests.writers import OtherProgram

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
    mixed = b'[{"a":' * (NESTING_LIMIT // 2) + b"[]" + b"}]" * (NESTING_LIMIT // 2)
    for text in (beyond, mixed):
        with pytest.raises(RequestRefused):
            strict_json(text)


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


@pytest.mark.parametrize("codings", [["gzip"], ["identity", "gzip"], ["identity, gzip"]])
async def test_content_coding_gets_415(http: httpx2.AsyncClient, codings: list[str]) -> None:
    lines = [("Content-Encoding", coding) for coding in codings]

    response = await http.patch("/playlists/p1", content=b"{}", headers=[*MERGE_PATCH.items(), *lines])

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


async def test_content_length_may_begin_with_zeros(http: httpx2.AsyncClient) -> None:
    await http.put("/playlists/p1", json=MINE)

    response = await http.patch(
        "/playlists/p1", content=b"{}", headers={**MERGE_PATCH, "Content-Length": "00000000002"}
    )

    assert response.status_code == 200


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


async def test_thousands_of_faults_are_listed_up_to_a_bound(
    http: httpx2.AsyncClient, other_program: OtherProgram
) -> None:
    other_program.put_playlist("p1")

    response = await http.patch("/playlists/p1", json={"track_tokens": ["x"] * 10_000})

    assert code_of(response) == (422, "invalid-request")
    assert len(response.json()["errors"]) == 50


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ([], {"pointer": "", "detail": "must be an object"}),
        ({"track_tokens": []}, {"pointer": "/playlist_name", "detail": "must be there"}),
        ({**MINE, "playlist_name": 1}, {"pointer": "/playlist_name", "detail": "must be a string"}),
        ({**MINE, "playlist_name": " "}, {"pointer": "/playlist_name", "detail": "must not be blank"}),
        ({**MINE, "track_tokens": "A/1"}, {"pointer": "/track_tokens", "detail": "must be an array"}),
        ({**MINE, "track_tokens": ["A/1", None]}, {"pointer": "/track_tokens/1", "detail": "must be a string"}),
        (
            {**MINE, "track_tokens": ["A/1"] * (TRACKS_LIMIT + 1)},
            {"pointer": "/track_tokens", "detail": "must have at most 102400 items"},
        ),
        ({**MINE, "playlist_version": "1"}, {"pointer": "/playlist_version", "detail": "must be an integer"}),
        ({**MINE, "playlist_version": 1.5}, {"pointer": "/playlist_version", "detail": "must be an integer"}),
        (
            {**MINE, "playlist_version": 2**63},
            {"pointer": "/playlist_version", "detail": f"must be {2**63 - 1} or less"},
        ),
        (
            {**MINE, "playlist_version": -(2**80)},
            {"pointer": "/playlist_version", "detail": f"must be {-(2**63)} or more"},
        ),
        ({**MINE, "a/b~c": 1}, {"pointer": "/a~1b~0c", "detail": "is not known here"}),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_faults_are_told_in_the_words_of_json(http: httpx2.AsyncClient, body: Any, fault: dict[str, str]) -> None:
    response = await http.put("/playlists/p1", json=body)

    assert code_of(response) == (422, "invalid-request")
    assert response.json()["errors"] == [fault]


async def test_number_that_cannot_be_read_is_told_in_the_words_of_json(http: httpx2.AsyncClient) -> None:
    response = await http.patch("/playlists/p1", content=NAMED % (b"9" * 5_000), headers=MERGE_PATCH)

    assert response.json()["detail"] == "The body cannot be read as JSON: a number has too many digits."


@pytest.mark.parametrize(
    "body",
    [
        b'{"track_tokens": [%s]}' % b",".join([b"1"] * 500_000),
        b'{"track_tokens": [%s]}' % b",".join([b'""'] * 300_000),
        b'{"track_tokens": [%s]}' % b",".join([b'""'] * TRACKS_LIMIT),
        b"{%s}" % b",".join(b'"%x":1' % number for number in range(100_000)),
    ],
    ids=["numbers", "strings", "as many as are looked at", "members"],
)
def test_body_full_of_faults_takes_no_longer_than_one_without(body: bytes) -> None:
    document = strict_json(body)
    valid = {"track_tokens": ["ALBUM/TRACK"] * TRACKS_LIMIT}

    def seconds(value: Any) -> float:
        start = time.process_time()
        try:
            PlaylistMergePatch.model_validate(value)
        except ValidationError as error:
            error.errors(include_url=False)
        return time.process_time() - start

    assert min(seconds(document) for _ in range(3)) < 2 * min(seconds(valid) for _ in range(3))


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
