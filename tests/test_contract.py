"""The check of answers against the document finds what is not declared."""

import json
from typing import Any

import httpx2
import pytest

from tests.contract import Contract, declared_answers
from tests.engines import PROJECT

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "openapi" / "openapi.json").read_text())
GOOD = {
    "Cache-Control": "no-store",
    "X-Request-ID": "x",
    "Content-Type": "application/problem+json",
    "Retry-After": "1",
}


def answer(status: int, headers: dict[str, str], **members: Any) -> httpx2.Response:
    responses = DOCUMENT["paths"]["/readyz"]["get"]["responses"]
    example = responses["503"]["content"]["application/problem+json"]["examples"]["storage-unavailable"]["value"]
    problem = {**example, **members}
    request = httpx2.Request("GET", "http://playlists.test/readyz")
    return httpx2.Response(status, headers=headers, json=problem, request=request)


async def test_declared_answer_passes_and_is_remembered_as_the_document_names_it() -> None:
    contract = Contract(DOCUMENT)

    await contract(answer(503, GOOD, code="storage-unavailable"))

    assert "get_readiness 503 storage-unavailable" in contract.seen & declared_answers(DOCUMENT)


@pytest.mark.parametrize(
    ("deviation", "found"),
    [
        (answer(418, GOOD, code="storage-unavailable"), "418"),
        (answer(503, {**GOOD, "X-Other": "1"}, code="storage-unavailable"), "x-other"),
        (answer(503, {**GOOD, "Content-Type": "text/html"}, code="storage-unavailable"), "text/html"),
        (
            answer(
                503, {name: value for name, value in GOOD.items() if name != "Retry-After"}, code="storage-unavailable"
            ),
            "Retry-After",
        ),
        (answer(503, GOOD, code="internal-error"), "internal-error"),
        (answer(503, GOOD, code="storage-unavailable", title="Slow down"), "Slow down"),
        (answer(503, GOOD, code="storage-unavailable", limit=3), "limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_deviation_is_found(deviation: httpx2.Response, found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        await Contract(DOCUMENT)(deviation)
