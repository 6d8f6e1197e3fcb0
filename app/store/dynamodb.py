"""Single calls to DynamoDB, each with the meaning of its outcome.

What matters of a failed write is whether it can have been applied: Throttled and
StorageUnavailable say that it was not, OutcomeUnknown that nobody here knows.
"""

import hashlib
import time
from collections.abc import Awaitable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypedDict, TypeVar

from aiohttp import ClientConnectorError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from app.domain.errors import (
    IdempotencyKeyReused,
    ListingUnavailable,
    OutcomeUnknown,
    PlaylistError,
    PlaylistTooLarge,
    ReadOnlyRegion,
    StorageUnavailable,
    Throttled,
)
from app.store.items import (
    ITEM_SIZE_LIMIT,
    NO_SUCH_ITEM,
    PARTITION_KEY_SIZE_LIMIT,
    Condition,
)
from app.store.ledger import Call, ledger
from app.store.values import AttributeValue, Item, number, number_of, string
from app.store.wire.connections import ConnectionNotMade

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

Answer = TypeVar("Answer", bound=Mapping[str, Any])

_THROTTLING_CODES = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
}
# Refused because of another write that was under way, or with credentials that are refreshed by then.
_PASSING_REFUSALS = {
    "ExpiredTokenException",
    "ReplicatedWriteConflictException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
# What DynamoDB says, as a ValidationException, of a query of an index that is not there or not ready.
_INDEX_REFUSALS = ("does not have the specified index", "backfilling global secondary index")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_NOT_APPLIED_STATUSES = range(400, 500)
CREDENTIALS_ERRORS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
# ResponseParserError is no BotoCoreError: an answer that is not DynamoDB's.
_CALL_ERRORS = (ClientError, BotoCoreError, ResponseParserError)


class ConditionFailed(Exception):
    """ConditionalCheckFailedException, with the item that the condition was judged against.

    `uncertain` if an earlier attempt at the same write may have been applied.
    """

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition did not hold")
        self.item = item
        self.uncertain = False


class NotANumber(Exception):
    """What was to be added to is no number, or the sum is none that DynamoDB can hold; nothing was added."""


class NoTransactions(Exception):
    """The table takes no TransactWriteItems, as global tables with multi-Region strong consistency do not."""


class DynamoDBTable:
    """The calls that the service makes on one table. All raise StorageUnavailable and Throttled."""

    def __init__(self, client: "DynamoDBClient", table_name: str, *, write_region: str | None = None) -> None:
        """`write_region` is the one Region that writes are accepted in; None for every Region."""
        self._client = client
        self._table_name = table_name
        self._write_region = write_region

    def check_accepts_writes(self) -> None:
        """Raises ReadOnlyRegion where the client's Region is not the one for writes."""
        if self._write_region is not None and self._write_region != (region := self._client.meta.region_name):
            raise ReadOnlyRegion(region=region, write_region=self._write_region)

    async def get_item(self, partition_key: str, sort_key: str) -> Item | None:
        """Read one item, strongly consistent; None if there is none."""
        if len(partition_key.encode()) > PARTITION_KEY_SIZE_LIMIT:
            return None  # No item can have it, and DynamoDB would refuse the request.
        try:
            answer = await _recorded(
                "GetItem",
                self._client.get_item(
                    TableName=self._table_name,
                    Key=_key(partition_key, sort_key),
                    ConsistentRead=True,
                    **_CAPACITY_TOLD,
                ),
                written=False,
            )
        except _CALL_ERRORS as error:
            _raise_read_failure(error)
        item: Item | None = answer.get("Item")  # type: ignore[assignment]
        return item or None

    async def query_index(
        self, index_name: str, key: Condition, *, limit: int, after: Item | None
    ) -> tuple[list[Item], Item | None]:
        """Read up to `limit` items with this key in an index, eventually consistent, in its order.

        They begin with the one that follows `after`. With them comes what to go on after, None if
        nothing is left. Raises ListingUnavailable where the table has no such index, or one that is
        still being built.
        """
        try:
            answer = await _recorded(
                "Query",
                self._client.query(
                    TableName=self._table_name,
                    IndexName=index_name,
                    KeyConditionExpression=key.expression,
                    Limit=limit,
                    ExpressionAttributeValues=key.values or {},
                    **_start(after),
                    **_CAPACITY_TOLD,
                ),
                written=False,
            )
        except _CALL_ERRORS as error:
            if isinstance(error, ClientError) and _is_refusal_of_index(error):
                raise ListingUnavailable from error
            _raise_read_failure(error)
        items: list[Item] = answer.get("Items", [])  # type: ignore[assignment]
        end: Item | None = answer.get("LastEvaluatedKey")  # type: ignore[assignment]
        return items, end or None

    async def put_item(self, item: Item, condition: Condition) -> None:
        """Write a whole item if the condition holds.

        Raises ConditionFailed with the item in the way, PlaylistTooLarge, OutcomeUnknown.
        """
        try:
            await _recorded(
                "PutItem",
                self._client.put_item(
                    TableName=self._table_name, Item=item, **_conditioned(condition), **_CAPACITY_TOLD
                ),
            )
        except _CALL_ERRORS as error:
            _raise_write_failure(error)

    async def delete_item(self, partition_key: str, sort_key: str, condition: Condition) -> None:
        """Delete an item if the condition holds. Raises ConditionFailed, OutcomeUnknown."""
        try:
            await _recorded(
                "DeleteItem",
                self._client.delete_item(
                    TableName=self._table_name,
                    Key=_key(partition_key, sort_key),
                    **_conditioned(condition),
                    **_CAPACITY_TOLD,
                ),
            )
        except _CALL_ERRORS as error:
            _raise_write_failure(error)

    async def increment(self, partition_key: str, sort_key: str, attribute: str) -> int | None:
        """Add 1 to a number, 0 where there is none; returns the sum, None if that is not a whole number.

        Raises NotANumber, OutcomeUnknown.
        """
        try:
            answer = await _recorded(
                "UpdateItem",
                self._client.update_item(
                    TableName=self._table_name,
                    Key=_key(partition_key, sort_key),
                    **_ADD_ONE,
                    ExpressionAttributeNames={"#number": attribute},
                    ReturnValues="UPDATED_NEW",
                    **_CAPACITY_TOLD,
                ),
            )
        except _CALL_ERRORS as error:
            # Nothing else in the request can be wrong: the sum has too many digits, or there is no number.
            if isinstance(error, ClientError) and _code(error) == "ValidationException":
                raise NotANumber from error
            _raise_write_failure(error)
        try:
            return whole_number(answer["Attributes"][attribute])  # type: ignore[arg-type]
        except StorageUnavailable as error:
            raise OutcomeUnknown(error.cause) from error

    async def increment_once(self, partition_key: str, sort_key: str, attribute: str, *, once: bytes) -> None:
        """Add 1 to a number, unless that was done under the name `once` in the last ten minutes.

        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
        Raises NotANumber, OutcomeUnknown, IdempotencyKeyReused if the name was used for another
        addition, NoTransactions.
        """
        update = {
            "TableName": self._table_name,
            "Key": _key(partition_key, sort_key),
            **_ADD_ONE,
            "ExpressionAttributeNames": {"#number": attribute},
        }
        # 36 characters at most. DynamoDB knows it for all tables of the account.
        token = hashlib.sha256(self._table_name.encode() + once).hexdigest()[:32]
        await self._transact([{"Update": update}], ClientRequestToken=token)

    async def delete_item_without(self, partition_key: str, sort_key: str, *, other_sort_key: str) -> None:
        """Delete an item if there is none under the other sort key.

        Raises ConditionFailed, OutcomeUnknown, NoTransactions.
        """
        check = {
            "TableName": self._table_name,
            "Key": _key(partition_key, other_sort_key),
            "ConditionExpression": NO_SUCH_ITEM.expression,
        }
        delete = {"TableName": self._table_name, "Key": _key(partition_key, sort_key)}
        await self._transact([{"ConditionCheck": check}, {"Delete": delete}])

    async def _transact(self, writes: list[dict[str, Any]], **options: Any) -> None:
        try:
            await _recorded(
                "TransactWriteItems",
                self._client.transact_write_items(
                    TransactItems=writes,  # type: ignore[arg-type]
                    **options,
                    **_CAPACITY_TOLD,
                ),
            )
        except _CALL_ERRORS as error:
            if isinstance(error, ClientError):
                _raise_transaction_failure(error)
            _raise_write_failure(error)


def whole_number(value: AttributeValue | None) -> int | None:
    """The number; 0 where there is no value, None where it is something else than a whole number."""
    if value is None:
        return 0
    number = number_of(value)
    return None if number is None or number != int(number) else int(number)


class _Capacity(TypedDict):
    ReturnConsumedCapacity: Literal["TOTAL"]


_CAPACITY_TOLD: _Capacity = {"ReturnConsumedCapacity": "TOTAL"}
_ADD_ONE: Any = {"UpdateExpression": "ADD #number :one", "ExpressionAttributeValues": {":one": number(1)}}


async def _recorded(operation: str, call: Awaitable[Answer], *, written: bool = True) -> Answer:
    """Make the call, and write it into the ledger."""
    # Cut off by the deadline or a cancellation, it has no answer.
    outcome, units, began = "unknown", 0.0, time.perf_counter()
    try:
        answer = await call
        outcome, units = "ok", _capacity_units(answer)
    except _CALL_ERRORS as error:
        outcome = _outcome(error, written=written)
        raise
    finally:
        ledger().calls.append(Call(operation, outcome, time.perf_counter() - began, units))
    return answer


def _capacity_units(answer: Mapping[str, Any]) -> float:
    consumed = answer.get("ConsumedCapacity", {})
    if isinstance(consumed, list):  # Of a transaction, for each table.
        return float(sum(table.get("CapacityUnits", 0) for table in consumed))
    return float(consumed.get("CapacityUnits", 0))


def _outcome(error: Exception, *, written: bool) -> str:
    if isinstance(error, ClientError) and _is_failed_condition(error):
        return "condition-failed"
    match _failure(error, written=written):
        case None | PlaylistTooLarge():
            return "rejected"
        case Throttled():
            return "throttled"
        case StorageUnavailable():
            return "not-applied"
        case _:
            return "unknown"


def _is_failed_condition(error: ClientError) -> bool:
    reasons = error.response.get("CancellationReasons", [])
    return _code(error) == "ConditionalCheckFailedException" or any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in reasons
    )


def _key(partition_key: str, sort_key: str) -> Any:
    return {"partition_key": string(partition_key), "sort_key": _sort_key(sort_key)}


# There are few of them.
_sort_key = lru_cache(maxsize=16)(string)


def _conditioned(condition: Condition) -> dict[str, Any]:
    # DynamoDB refuses an empty map of values.
    values = {"ExpressionAttributeValues": condition.values} if condition.values else {}
    return {
        "ConditionExpression": condition.expression,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **values,
    }


def _raise_transaction_failure(error: ClientError) -> None:
    """Raise what only a transaction can fail of; return on other errors."""
    match _code(error):
        case "IdempotentParameterMismatchException":
            raise IdempotencyKeyReused from error
        case "TransactionCanceledException":
            # Nothing was applied; the reasons say why.
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if "ConditionalCheckFailed" in reasons:
                raise ConditionFailed(None) from error
            if "ValidationError" in reasons:
                raise NotANumber from error
            if reasons & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
                raise Throttled from error
            raise StorageUnavailable(f"transaction cancelled: {reasons}", passing="TransactionConflict" in reasons)
        case "ValidationException" if "transact" not in _message(error).lower():
            raise NotANumber from error
        case "ValidationException" | "UnknownOperationException":
            raise NoTransactions from error


def _start(after: Item | None) -> dict[str, Any]:
    return {} if after is None else {"ExclusiveStartKey": after}


def _raise_read_failure(error: Exception) -> NoReturn:
    failure = _failure(error, written=False)
    if failure is None:
        raise error
    raise failure from error


def _raise_write_failure(error: Exception) -> NoReturn:
    if isinstance(error, ClientError) and _code(error) == "ConditionalCheckFailedException":
        raise ConditionFailed(error.response.get("Item")) from error
    failure = _failure(error, written=True)
    if failure is None:
        raise error
    raise failure from error


def _failure(error: Exception, *, written: bool) -> PlaylistError | None:
    """What the failure means for the caller; None if the request itself was wrong, which is a bug of ours."""
    cause = f"{type(error).__name__}: {error}"
    if isinstance(error, ClientError):
        if _code(error) in _THROTTLING_CODES:
            return Throttled()
        if _code(error) == "ValidationException":
            # DynamoDB's rule for the size of numbers is approximate, so ours may come out lower.
            if "size has exceeded" in _message(error):
                return PlaylistTooLarge(size=None, limit=ITEM_SIZE_LIMIT)
            return None
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in _NOT_APPLIED_STATUSES:
            return StorageUnavailable(cause, passing=_code(error) in _PASSING_REFUSALS)
    elif isinstance(error, ParamValidationError):
        return None
    elif _never_sent(error):
        return StorageUnavailable(cause)
    return OutcomeUnknown(cause) if written else StorageUnavailable(cause)


def _never_sent(error: Exception) -> bool:
    """Only a connection that was never made, or a request never signed, proves it.

    aiobotocore raises EndpointConnectionError for a reset in mid-flight too; the error inside tells.
    """
    if isinstance(error, (ConnectionNotMade, ConnectTimeoutError, *CREDENTIALS_ERRORS)):
        return True
    return isinstance(error, BotoCoreError) and isinstance(error.kwargs.get("error"), ClientConnectorError)


def _is_refusal_of_index(error: ClientError) -> bool:
    return _code(error) == "ValidationException" and any(words in _message(error) for words in _INDEX_REFUSALS)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message", ""))
