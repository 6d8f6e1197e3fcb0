"""The DynamoDB table itself: making it, and saying what is wrong with it."""

import json
import shlex
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from app.store.dynamodb import CREDENTIALS_ERRORS

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import GlobalSecondaryIndexDescriptionTypeDef, TableDescriptionTypeDef

OWNER_INDEX = "playlist_owner_index"

_KEY_SCHEMA = [
    {"AttributeName": "partition_key", "KeyType": "HASH"},
    {"AttributeName": "sort_key", "KeyType": "RANGE"},
]
_ATTRIBUTE_DEFINITIONS = [
    {"AttributeName": name, "AttributeType": "S"} for name in ("partition_key", "sort_key", "playlist_owner")
]
_PROJECTED = ["playlist_name", "playlist_version", "created_at", "updated_at"]
_OWNER_INDEX_DEFINITION: dict[str, Any] = {
    "IndexName": OWNER_INDEX,
    "KeySchema": [
        {"AttributeName": "playlist_owner", "KeyType": "HASH"},
        {"AttributeName": "partition_key", "KeyType": "RANGE"},
    ],
    "Projection": {
        "ProjectionType": "INCLUDE",
        "NonKeyAttributes": _PROJECTED,
    },
}
_REFUSALS = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "UnrecognizedClientException",
}


class TableUnusable(Exception):
    """One line for the operator: what is wrong with the table or the way to it, and what to do."""


async def create_table(client: "DynamoDBClient", table_name: str) -> bool:
    """Make the table with its owner index, billed on demand, and wait until it serves.

    Returns False if a table of that name was there already; `check_table` tells whether it fits.
    Raises the SDK's errors: `explained` tells what they mean.
    """
    try:
        await client.create_table(
            TableName=table_name,
            KeySchema=_KEY_SCHEMA,  # type: ignore[arg-type]
            AttributeDefinitions=_ATTRIBUTE_DEFINITIONS,  # type: ignore[arg-type]
            GlobalSecondaryIndexes=[_OWNER_INDEX_DEFINITION],  # type: ignore[list-item]
            BillingMode="PAY_PER_REQUEST",
        )
    except client.exceptions.ResourceInUseException:
        created = False
    else:
        created = True
    # Also where it was there: it may be under way, by an attempt whose answer was lost or by another's command.
    await client.get_waiter("table_exists").wait(TableName=table_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    return created


async def check_table(client: "DynamoDBClient", table_name: str, *, mrec_write_region: str | None = None) -> list[str]:
    """Make sure that the service can work on the table (DescribeTable).

    An eventually consistent global table is refused unless `mrec_write_region` says where alone
    its playlists are written. Returns what is missing that the service can do without, one
    sentence each, with the command that adds it on a line of its own. Raises TableUnusable, and as
    `create_table` does.
    """
    table = (await client.describe_table(TableName=table_name))["Table"]
    if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
        raise TableUnusable(f"table {table_name!r} is {table['TableStatus']}: wait until it is ACTIVE")
    if mrec_write_region is None and _is_eventually_consistent_global_table(table):
        raise TableUnusable(
            f"table {table_name!r} is a global table with multi-Region eventual consistency: conditions are judged "
            "against the local replica and the last writer wins, so updates would be lost; use a table of one Region, "
            "or one with MultiRegionConsistency STRONG, or name the one Region that accepts writes in "
            "PLAYLISTS_MREC_WRITE_REGION"
        )
    regions = sorted({client.meta.region_name} | {replica["RegionName"] for replica in table.get("Replicas", [])})
    has_all_regions = "Replicas" in table or "GlobalTableVersion" not in table
    if mrec_write_region is not None and has_all_regions and mrec_write_region not in regions:
        raise TableUnusable(
            f"PLAYLISTS_MREC_WRITE_REGION={mrec_write_region!r} is no Region of table {table_name!r}, so nobody could "
            f"write: name one of {', '.join(regions)}"
        )
    if not _has_keys(table):
        raise TableUnusable(
            f"table {table_name!r} has other keys than partition_key (S, HASH) and sort_key (S, RANGE): "
            "name the music library's table in PLAYLISTS_TABLE_NAME"
        )
    indexes = {index.get("IndexName"): index for index in table.get("GlobalSecondaryIndexes", [])}
    if OWNER_INDEX in indexes and (
        indexes[OWNER_INDEX].get("KeySchema") != _OWNER_INDEX_DEFINITION["KeySchema"]
        or _attribute_types(table).get("playlist_owner") != "S"
    ):
        raise TableUnusable(
            f"index {OWNER_INDEX} of table {table_name!r} has other keys than playlist_owner (S, HASH) and "
            "partition_key (S, RANGE), and DynamoDB refuses items that do not fit them: delete the index"
        )
    if OWNER_INDEX not in indexes:
        return [
            f"no index {OWNER_INDEX}: playlists cannot be listed by owner, everything else works; this adds it:\n"
            f"{_command_adding_index(table_name, table)}"
        ]
    return _missing_of_index(indexes[OWNER_INDEX])


def _missing_of_index(index: "GlobalSecondaryIndexDescriptionTypeDef") -> list[str]:
    missing = []
    projection = index.get("Projection", {})
    unprojected = [name for name in _PROJECTED if name not in projection.get("NonKeyAttributes", [])]
    if unprojected and projection.get("ProjectionType") != "ALL":
        missing.append(
            f"index {OWNER_INDEX} does not project {', '.join(unprojected)}: lists show them empty; "
            "delete it, and this check tells how to make it anew"
        )
    if (status := index.get("IndexStatus", "ACTIVE")) not in ("ACTIVE", "UPDATING"):
        missing.append(f"index {OWNER_INDEX} is {status}: playlists cannot be listed by owner until it is ACTIVE")
    return missing


def _command_adding_index(table_name: str, table: "TableDescriptionTypeDef") -> str:
    definition = dict(_OWNER_INDEX_DEFINITION)
    throughput = table.get("ProvisionedThroughput", {})
    units = {name: throughput.get(name, 0) for name in ("ReadCapacityUnits", "WriteCapacityUnits")}
    if all(units.values()):
        # An index of a table with provisioned throughput has to have its own: the table's, to begin with.
        definition["ProvisionedThroughput"] = units
    return shlex.join(
        [
            *("aws", "dynamodb", "update-table", "--table-name", table_name),
            *("--attribute-definitions", json.dumps(_ATTRIBUTE_DEFINITIONS)),
            *("--global-secondary-index-updates", json.dumps([{"Create": definition}])),
        ]
    )


def explained(error: Exception, table_name: str) -> TableUnusable:
    """Say in one line what stands between the service and its table. Other errors are raised again."""
    match error:
        case NoRegionError():
            return TableUnusable("no AWS region is set: set AWS_REGION (or a profile that has one)")
        case NoCredentialsError():
            return TableUnusable(
                "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "AWS_PROFILE, or run with a role"
            )
        case _ if isinstance(error, CREDENTIALS_ERRORS):
            return TableUnusable(f"the AWS credentials cannot be used: {_one_line(error)}")
        case EndpointConnectionError() | ConnectTimeoutError() | ReadTimeoutError():
            return TableUnusable(
                f"DynamoDB does not answer at {error.kwargs.get('endpoint_url')}: "
                "check AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION and the network"
            )
        case ClientError():
            return _refusal(error, table_name)
        case BotoCoreError() | ResponseParserError() | ValueError():
            return TableUnusable(f"DynamoDB cannot be used with this AWS configuration: {_one_line(error)}")
    raise error


def _refusal(error: ClientError, table_name: str) -> TableUnusable:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "ResourceNotFoundException":
        return TableUnusable(
            f"there is no table {table_name!r}: make it with `playlists table create`, "
            "or name another in PLAYLISTS_TABLE_NAME"
        )
    if code in _REFUSALS:
        return TableUnusable(
            f"AWS refused the credentials or their permissions ({code}): {' '.join(message.split())}; "
            "check the credentials and the policy of their user or role, or set PLAYLISTS_SKIP_TABLE_CHECK=true if "
            "dynamodb:DescribeTable alone is denied and you know that the table is no global table"
        )
    return TableUnusable(f"DynamoDB refused ({code}): {' '.join(message.split())}")


def _is_eventually_consistent_global_table(table: "TableDescriptionTypeDef") -> bool:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
    # MultiRegionConsistency is absent where consistency is eventual.
    is_global = bool(table.get("Replicas") or table.get("GlobalTableVersion"))
    return is_global and table.get("MultiRegionConsistency") != "STRONG"


def _has_keys(table: "TableDescriptionTypeDef") -> bool:
    types = _attribute_types(table)
    return table.get("KeySchema") == _KEY_SCHEMA and types["partition_key"] == types["sort_key"] == "S"


def _attribute_types(table: "TableDescriptionTypeDef") -> dict[str, str]:
    return {
        attribute["AttributeName"]: attribute["AttributeType"] for attribute in table.get("AttributeDefinitions", [])
    }


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
