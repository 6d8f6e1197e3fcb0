import json
import shlex
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from app.store.table import TableUnusable, check_table, create_table, explained

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient


OWNER_KEYS = [
    {"AttributeName": "playlist_owner", "KeyType": "HASH"},
    {"AttributeName": "partition_key", "KeyType": "RANGE"},
]
PROJECTED = ["playlist_name", "playlist_version", "created_at", "updated_at"]
OWNER_INDEX = {
    "IndexName": "playlist_owner_index",
    "KeySchema": OWNER_KEYS,
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": PROJECTED},
}


async def test_created_table_has_nothing_missing(client: "DynamoDBClient", table_name: str) -> None:
    assert await check_table(client, table_name) == []
    assert await create_table(client, table_name) is False


async def table_with(client: Any, partition_key: str, sort_key: str) -> str:
    name = f"other_{uuid4().hex}"
    await client.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": partition_key, "KeyType": "HASH"},
            {"AttributeName": sort_key, "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in (partition_key, sort_key)],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


async def test_table_without_the_index_can_be_used_and_that_is_told(client: "DynamoDBClient") -> None:
    name = await table_with(client, "partition_key", "sort_key")

    [sentence] = await check_table(client, name)

    assert sentence.startswith("no index playlist_owner_index")


def options_of(command: str) -> dict[str, str]:
    """The options of an AWS command line, by their names, as a shell hands them over."""
    assert "\n" not in command
    words = shlex.split(command)
    assert words[:3] == ["aws", "dynamodb", "update-table"]
    return dict(zip(words[3::2], words[4::2], strict=True))


async def definition_of_index(client: "DynamoDBClient", table_name: str) -> Any:
    table = (await client.describe_table(TableName=table_name))["Table"]
    [index] = table["GlobalSecondaryIndexes"]
    types = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in table["AttributeDefinitions"]}
    return types, {name: index.get(name) for name in ("IndexName", "KeySchema", "Projection")}


async def test_command_that_adds_the_index_makes_the_one_of_a_created_table(
    client: "DynamoDBClient", table_name: str
) -> None:
    name = await table_with(client, "partition_key", "sort_key")
    [missing] = await check_table(client, name)
    options = options_of(missing.splitlines()[-1])

    await client.update_table(
        TableName=options["--table-name"],
        AttributeDefinitions=json.loads(options["--attribute-definitions"]),
        GlobalSecondaryIndexUpdates=json.loads(options["--global-secondary-index-updates"]),
    )

    assert await definition_of_index(client, name) == await definition_of_index(client, table_name)


async def test_command_that_adds_the_index_gives_it_the_throughput_of_a_provisioned_table() -> None:
    throughput = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 3, "NumberOfDecreasesToday": 0}
    table = Described(GlobalSecondaryIndexes=[], ProvisionedThroughput=throughput)

    [missing] = await check_table(table, "music items")  # type: ignore[arg-type]

    options = options_of(missing.splitlines()[-1])
    [update] = json.loads(options["--global-secondary-index-updates"])
    assert options["--table-name"] == "music items"
    assert update["Create"]["ProvisionedThroughput"] == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 3}


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"IndexStatus": "CREATING"}, "is CREATING"),
        ({"Projection": {"ProjectionType": "KEYS_ONLY"}}, "does not project playlist_name, playlist_version"),
        (
            {"Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": PROJECTED[:3]}},
            "does not project updated_at",
        ),
    ],
)
async def test_index_that_cannot_list_all_is_told(attributes: Any, told: str) -> None:
    table = Described(GlobalSecondaryIndexes=[{**OWNER_INDEX, **attributes}])

    [sentence] = await check_table(table, "music_items")  # type: ignore[arg-type]

    assert told in sentence


async def test_index_that_projects_everything_lacks_nothing() -> None:
    table = Described(GlobalSecondaryIndexes=[{**OWNER_INDEX, "Projection": {"ProjectionType": "ALL"}}])

    assert await check_table(table, "music_items") == []  # type: ignore[arg-type]


async def test_table_with_other_keys_is_refused(client: "DynamoDBClient") -> None:
    name = await table_with(client, "pk", "sk")

    with pytest.raises(TableUnusable, match="PLAYLISTS_TABLE_NAME"):
        await check_table(client, name)


class Described:
    """A client whose DescribeTable answers with these attributes besides those of a table that serves."""

    def __init__(self, **attributes: Any) -> None:
        keys = {"partition_key": "HASH", "sort_key": "RANGE"}
        self._table = {
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": "S"} for name in (*keys, "playlist_owner")
            ],
            "GlobalSecondaryIndexes": [OWNER_INDEX],
            **attributes,
        }

    async def describe_table(self, **_: Any) -> Any:
        return {"Table": self._table}

    meta = SimpleNamespace(region_name="eu-west-1")


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
async def test_table_that_does_not_serve_is_refused(status: str) -> None:
    with pytest.raises(TableUnusable, match=status):
        await check_table(Described(TableStatus=status), "music_items")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "attributes",
    [
        {"Replicas": [{"RegionName": "eu-west-1"}]},
        {"GlobalTableVersion": "2019.11.21"},
        {"Replicas": [{"RegionName": "eu-west-1"}], "MultiRegionConsistency": "EVENTUAL"},
    ],
)
async def test_global_table_with_eventual_consistency_is_refused_with_the_reason(attributes: Any) -> None:
    with pytest.raises(TableUnusable, match="last writer wins"):
        await check_table(Described(**attributes), "music_items")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"Replicas": []},
        {
            "Replicas": [{"RegionName": "eu-west-1"}],
            "GlobalTableVersion": "2019.11.21",
            "MultiRegionConsistency": "STRONG",
        },
    ],
)
async def test_table_of_one_region_or_with_strong_consistency_can_be_used(attributes: Any) -> None:
    assert await check_table(Described(**attributes), "music_items") == []  # type: ignore[arg-type]


MREC = {"Replicas": [{"RegionName": "us-east-1"}], "GlobalTableVersion": "2019.11.21"}


@pytest.mark.parametrize("write_region", ["eu-west-1", "us-east-1"])
async def test_global_table_with_a_region_for_writes_can_be_used(write_region: str) -> None:
    assert await check_table(Described(**MREC), "music_items", mrec_write_region=write_region) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("attributes", [{}, MREC])
async def test_region_for_writes_that_the_table_is_not_in_is_refused(attributes: Any) -> None:
    with pytest.raises(TableUnusable, match="name one of eu-west-1"):
        await check_table(Described(**attributes), "music_items", mrec_write_region="eu-wset-1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "what_to_do"),
    [
        ("AccessDeniedException", "PLAYLISTS_SKIP_TABLE_CHECK=true"),
        ("ResourceNotFoundException", "playlists table create"),
    ],
)
async def test_refused_description_of_the_table_is_explained(
    client: "DynamoDBClient", code: str, what_to_do: str
) -> None:
    with Stubber(client) as stubbed:
        stubbed.add_client_error("describe_table", code, "is not\nauthorized", 400)
        with pytest.raises(ClientError) as refused:
            await check_table(client, "music_items")

    told = explained(refused.value, "music_items")

    assert what_to_do in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize(
    "attributes",
    [
        {"GlobalSecondaryIndexes": [{"IndexName": "playlist_owner_index", "KeySchema": OWNER_KEYS[:1]}]},
        {
            "AttributeDefinitions": [
                {"AttributeName": "partition_key", "AttributeType": "S"},
                {"AttributeName": "sort_key", "AttributeType": "S"},
                {"AttributeName": "playlist_owner", "AttributeType": "N"},
            ]
        },
    ],
)
async def test_index_that_our_items_do_not_fit_is_refused(attributes: Any) -> None:
    with pytest.raises(TableUnusable, match="playlist_owner_index"):
        await check_table(Described(**attributes), "music_items")  # type: ignore[arg-type]
