"""Whether requests can be served, and how often DynamoDB is asked for it."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from app.domain.errors import ListingUnavailable, TableNotReady
from app.store.dynamodb import DynamoDBTable
from app.store.readiness import Readiness

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

SECRET = "arn:aws:dynamodb:us-east-1:123456789012:table/secret"


class Quick(Readiness):
    timeout_seconds = 0.2
    kept_seconds = 0.2


class Scripted:
    """A client that answers GetItem as it is told, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.failure: Exception | None = None
        self.delay = 0.0

    async def get_item(self, **asked: Any) -> dict[str, Any]:
        assert asked["ConsistentRead"]
        self.calls += 1
        await asyncio.sleep(self.delay)
        if self.failure:
            raise self.failure
        return {}


def refusal(code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": SECRET}, "ResponseMetadata": {"HTTPStatusCode": 400}},
        "GetItem",
    )


@pytest.fixture
def client() -> Scripted:
    return Scripted()


@pytest.fixture
def readiness(client: "DynamoDBClient") -> Quick:
    return Quick(DynamoDBTable(client, "music_items"))


async def test_table_that_can_be_read_is_ready(readiness: Quick) -> None:
    assert await readiness.verdict() == "ready"


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
async def test_throttled_table_is_degraded_before_and_after_it_was_read(
    readiness: Quick, client: Scripted, code: str
) -> None:
    client.failure = refusal(code)
    before = await readiness.verdict()
    client.failure = None
    await asyncio.sleep(0.25)
    read = await readiness.verdict()
    client.failure = refusal(code)
    await asyncio.sleep(0.25)

    assert (before, read, await readiness.verdict()) == ("degraded", "ready", "degraded")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (refusal("ResourceNotFoundException"), "no table"),
        (refusal("AccessDeniedException"), "dynamodb:GetItem"),
        (refusal("UnrecognizedClientException"), "UnrecognizedClientException"),
        (NoCredentialsError(), "credentials"),
        (EndpointConnectionError(endpoint_url=SECRET), "cannot be reached"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_table_that_cannot_serve_is_not_ready_and_the_reason_tells_no_secret(
    readiness: Quick, client: Scripted, failure: Exception, told: str
) -> None:
    client.failure = failure

    with pytest.raises(TableNotReady, match=told) as not_ready:
        await readiness.verdict()

    assert SECRET not in str(not_ready.value)


async def test_silent_dynamodb_is_not_waited_for(readiness: Quick, client: Scripted) -> None:
    client.delay = 30

    async with asyncio.timeout(5):
        with pytest.raises(TableNotReady, match="did not answer"):
            await readiness.verdict()


async def test_all_who_ask_at_once_and_soon_after_share_one_read(readiness: Quick, client: Scripted) -> None:
    client.delay = 0.05
    first = asyncio.create_task(readiness.verdict())
    others = [asyncio.create_task(readiness.verdict()) for _ in range(10)]
    await asyncio.sleep(0.01)
    first.cancel()

    verdicts = await asyncio.gather(*others)

    assert set(verdicts) == {"ready"}
    assert await readiness.verdict() == "ready"
    assert client.calls == 1


@pytest.mark.parametrize("failure", [None, refusal("AccessDeniedException")], ids=["ready", "not ready"])
async def test_verdict_is_found_anew_after_a_while(
    readiness: Quick, client: Scripted, failure: Exception | None
) -> None:
    client.failure = failure
    await asyncio.gather(readiness.verdict(), return_exceptions=True)
    await asyncio.sleep(0.25)
    client.failure = None

    assert await readiness.verdict() == "ready"
    assert client.calls == 2


async def test_check_that_fails_is_what_is_told(client: "DynamoDBClient") -> None:
    def fail() -> None:
        raise ListingUnavailable

    readiness = Readiness(DynamoDBTable(client, "music_items"), checks=(fail,))

    with pytest.raises(ListingUnavailable):
        await readiness.verdict()
