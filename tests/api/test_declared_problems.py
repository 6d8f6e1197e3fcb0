"""Problems that many operations declare, got from each of them."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from app.domain.errors import ListingUnavailable, OutcomeUnknown, StorageUnavailable, Throttled
from app.examples import add_examples
from app.settings import Settings, load_settings
from app.store.playlists import PlaylistRepository
from tests.api.by_operation import operations, send
from tests.conftest import Interruptions
from tests.writers import OtherProgram

PROBLEM = "application/problem+json"
READS = ("get_item", "query_index")
WRITES = ("put_item", "delete_item", "increment")


def declaring(code: str) -> list[str]:
    """The operations that declare a problem code; the answer to a HEAD has no code, and is its GET's."""
    return [
        identifier
        for identifier, (_, _, operation) in operations().items()
        if any(
            code in response.get("content", {}).get(PROBLEM, {}).get("examples", {})
            for response in operation["responses"].values()
        )
    ]


def taking(header: str) -> list[str]:
    return [
        identifier
        for identifier, (_, _, operation) in operations().items()
        if header in [parameter["name"] for parameter in operation.get("parameters", [])]
    ]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, interruptions: Interruptions) -> Callable[[Exception, tuple[str, ...]], None]:
    """Let calls to the table fail from now on."""

    def failing(error: Exception) -> Callable[..., Coroutine[Any, Any, None]]:
        async def call(*_: object, **__: object) -> None:
            raise error

        return call

    def fail(error: Exception, calls: tuple[str, ...]) -> None:
        for name in calls:
            monkeypatch.setattr(interruptions, name, failing(error))

    return fail


Fail = Callable[[Exception, tuple[str, ...]], None]


def code_of(response: httpx2.Response) -> str:
    code: str = response.json()["code"]
    return code


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("throttled", Throttled()),
        ("storage-unavailable", StorageUnavailable("refused", passing=False)),
        ("internal-error", RuntimeError("unforeseen")),
    ],
)
@pytest.mark.parametrize("operation_id", declaring("throttled"))
async def test_operation_declares_how_the_store_may_fail_it(
    http: httpx2.AsyncClient,
    playlists: PlaylistRepository,
    fail: Fail,
    operation_id: str,
    code: str,
    error: Exception,
) -> None:
    await add_examples(playlists)
    fail(error, READS + WRITES)

    response = await send(http, operation_id, {})

    assert code_of(response) == code


@pytest.mark.parametrize("operation_id", declaring("outcome-unknown"))
async def test_operation_declares_that_its_outcome_may_be_unknown(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, fail: Fail, operation_id: str
) -> None:
    await add_examples(playlists)
    fail(OutcomeUnknown("no answer"), WRITES)

    response = await send(http, operation_id, {})

    assert code_of(response) == "outcome-unknown"


def headers_of_operations() -> list[tuple[str, str]]:
    return [
        (operation_id, header)
        for operation_id in declaring("malformed-request")
        for header in ("If-Match", "If-None-Match", "Idempotency-Key")
        if operation_id in taking(header)
    ]


@pytest.mark.parametrize(("operation_id", "header"), headers_of_operations())
async def test_operation_declares_that_a_header_may_be_malformed(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str, header: str
) -> None:
    await add_examples(playlists)

    response = await send(http, operation_id, {header: '"unfinished'})

    assert code_of(response) == "malformed-request"


@pytest.mark.parametrize("operation_id", declaring("body-too-large"))
async def test_operation_declares_that_its_body_may_be_too_large(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
) -> None:
    await add_examples(playlists)

    response = await send(http, operation_id, {}, b" " * 1_048_577)

    assert code_of(response) == "body-too-large"


@pytest.mark.parametrize("operation_id", declaring("unsupported-media-type"))
async def test_operation_declares_that_it_takes_no_other_media_type(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
) -> None:
    await add_examples(playlists)
    method, path, _ = operations()[operation_id]

    response = await http.request(method, path.format(playlist_token="PLAYLIST_1"), content=b"{}")

    assert code_of(response) == "unsupported-media-type"


@pytest.mark.parametrize("operation_id", declaring("playlist-too-large"))
async def test_operation_declares_that_the_playlist_may_get_too_large(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
) -> None:
    await add_examples(playlists)
    tracks = ",".join([f'"{"A" * 100}/{"B" * 100}"'] * 2_100)
    name = "" if operation_id == "insert_tracks" else '"playlist_name": "Long", '

    response = await send(http, operation_id, {}, f'{{{name}"track_tokens": [{tracks}]}}'.encode())

    assert code_of(response) == "playlist-too-large"


@pytest.mark.parametrize("operation_id", declaring("unwritable-item"))
async def test_operation_declares_that_the_item_may_be_unwritable(
    http: httpx2.AsyncClient, other_program: OtherProgram, operation_id: str
) -> None:
    if operation_id == "count_play":
        other_program.put({"partition_key": {"S": "PLAYLIST_1"}, "sort_key": {"S": "PLAYS_"}, "play_count": {"S": "x"}})
    other_program.put_playlist(
        "PLAYLIST_1", playlist_version={"S": "1"} if operation_id != "count_play" else {"N": "1"}
    )

    response = await send(http, operation_id, {})

    assert code_of(response) == "unwritable-item"


@pytest.mark.parametrize("operation_id", declaring("idempotency-key-reused"))
async def test_operation_declares_that_a_key_may_be_reused(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
) -> None:
    await add_examples(playlists)
    key = {"Idempotency-Key": "k1"}
    first = {"create_playlist": "create_playlist", "count_play": "count_play"}.get(operation_id, "put_playlist")
    other = {"playlist_token": "PLAYLIST_2"} if operation_id == "count_play" else {}
    body = None if operation_id == "count_play" else b'{"playlist_name": "Mine", "track_tokens": []}'

    await send(http, first, {**key, **other}, body)
    response = await send(http, operation_id, key)

    assert code_of(response) == "idempotency-key-reused"


@pytest.mark.parametrize(
    ("operation_id", "error", "status"),
    [
        *((f"head_{name}", Throttled(), 503) for name in ("playlists", "playlist", "plays")),
        *((f"head_{name}", RuntimeError("unforeseen"), 500) for name in ("playlists", "playlist", "plays")),
        ("head_playlists", ListingUnavailable(), 501),
    ],
)
async def test_head_declares_how_the_store_may_fail_it(
    http: httpx2.AsyncClient, fail: Fail, operation_id: str, error: Exception, status: int
) -> None:
    fail(error, READS)

    response = await send(http, operation_id, {})

    assert response.status_code == status


@pytest.mark.parametrize(("if_match", "status"), [('"unfinished', 400), ('"1"', 412), ("*", 200)])
async def test_head_declares_what_becomes_of_a_precondition(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, if_match: str, status: int
) -> None:
    await add_examples(playlists)

    response = await send(http, "head_playlist", {"If-Match": if_match})

    assert response.status_code == status


@pytest.mark.parametrize("operation_id", ["create_playlist", "edit_playlist", "put_playlist", "insert_tracks"])
async def test_operation_declares_that_its_body_may_be_invalid(
    http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
) -> None:
    await add_examples(playlists)

    response = await send(http, operation_id, {}, b'{"unknown": 1}')

    assert code_of(response) == "invalid-request"


class TestWhereAnotherRegionIsWritten:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, mrec_write_region="ap-southeast-2")

    @pytest.mark.parametrize("operation_id", declaring("read-only-region"))
    async def test_operation_declares_that_the_region_may_be_read_only(
        self, http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
    ) -> None:
        await add_examples(playlists)

        response = await send(http, operation_id, {})

        assert code_of(response) == "read-only-region"


class TestWherePreconditionsAreRequired:
    @pytest.fixture
    def settings(self, table_name: str) -> Settings:
        return load_settings(table_name=table_name, require_precondition=True)

    @pytest.mark.parametrize("operation_id", declaring("precondition-required"))
    async def test_operation_declares_that_a_precondition_may_be_required(
        self, http: httpx2.AsyncClient, playlists: PlaylistRepository, operation_id: str
    ) -> None:
        await add_examples(playlists)

        response = await send(http, operation_id, {})

        assert code_of(response) == "precondition-required"
