"""The template makes the table that the service makes, and allows what the service calls, no more."""

import ast
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from ruamel.yaml import YAML

from app.settings import Settings
from app.store.table import OWNER_INDEX
from tests.engines import PROJECT

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

TEMPLATE: Any = YAML().load(PROJECT / "deploy/table.yaml")
TABLE: Any = TEMPLATE["Resources"]["Table"]
TABLE_ARN = "Table.Arn"
INDEX_ARN = f"${{Table.Arn}}/index/{OWNER_INDEX}"
# `playlists table create` is an operator's, not the service's.
OPERATORS = {("dynamodb:CreateTable", TABLE_ARN)}
WAITED_FOR_BY = {"table_exists": "DescribeTable"}
# What a transaction needs for each of its items.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
ACTIONS_OF_ITEMS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def permissions_needed(source: str) -> set[tuple[str, str]]:
    """The IAM action and resource of every call of a DynamoDB client in this Python source."""
    needed: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_client(node.func.value):
            on_index = any(keyword.arg == "IndexName" for keyword in node.keywords)
            if operation := _operation(node.func.attr, node):
                needed.add((f"dynamodb:{operation}", INDEX_ARN if on_index else TABLE_ARN))
        if isinstance(node, ast.Dict):
            keys = {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
            needed |= {(f"dynamodb:{ACTIONS_OF_ITEMS[key]}", TABLE_ARN) for key in keys & ACTIONS_OF_ITEMS.keys()}
    return needed


def _is_client(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.endswith("client")


def _operation(method: str, call: ast.Call) -> str | None:
    if method == "transact_write_items":
        return None  # Its items say what it needs.
    if method == "get_waiter":
        [waiter] = call.args
        assert isinstance(waiter, ast.Constant)
        return WAITED_FOR_BY[str(waiter.value)]
    return "".join(word.capitalize() for word in method.split("_"))


def permissions_given() -> set[tuple[str, str]]:
    statements = TEMPLATE["Resources"]["ServicePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return {
        (action, statement["Resource"].value)
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def test_policy_allows_exactly_what_the_service_calls() -> None:
    sources = list((PROJECT / "app").rglob("*.py"))

    needed = set().union(*(permissions_needed(source.read_text()) for source in sources)) - OPERATORS

    assert permissions_given() == needed


@pytest.mark.parametrize(
    ("call", "permission"),
    [
        ("await self._client.batch_get_item(RequestItems=items)", ("dynamodb:BatchGetItem", TABLE_ARN)),
        ("await client.scan(TableName=name)", ("dynamodb:Scan", TABLE_ARN)),
        ("await client.query(TableName=name, IndexName=OWNER_INDEX)", ("dynamodb:Query", INDEX_ARN)),
        ("await self._transact([{'ConditionCheck': check}])", ("dynamodb:ConditionCheckItem", TABLE_ARN)),
        ("client.get_waiter('table_exists')", ("dynamodb:DescribeTable", TABLE_ARN)),
    ],
)
def test_call_is_found_with_its_permission(call: str, permission: tuple[str, str]) -> None:
    assert permissions_needed(f"async def called():\n    {call}\n") == {permission}


async def test_table_of_the_template_is_the_one_that_the_service_makes(
    client: "DynamoDBClient", table_name: str
) -> None:
    properties = {name: TABLE["Properties"][name] for name in ("KeySchema", "AttributeDefinitions")}
    indexes = TABLE["Properties"]["GlobalSecondaryIndexes"]
    name = f"template_{uuid4().hex}"
    billing: Any = TABLE["Properties"]["BillingMode"]

    await client.create_table(TableName=name, **properties, GlobalSecondaryIndexes=indexes, BillingMode=billing)

    assert await described(client, name) == await described(client, table_name)


async def described(client: "DynamoDBClient", table_name: str) -> Any:
    table = (await client.describe_table(TableName=table_name))["Table"]
    types = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in table["AttributeDefinitions"]}
    indexes = [
        {name: index.get(name) for name in ("IndexName", "KeySchema", "Projection")}
        for index in table["GlobalSecondaryIndexes"]
    ]
    return table["KeySchema"], types, indexes, table.get("BillingModeSummary", {}).get("BillingMode")


def test_table_of_the_template_is_not_lost_by_mistake() -> None:
    assert (TABLE["DeletionPolicy"], TABLE["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert TABLE["Properties"]["DeletionProtectionEnabled"] is True
    assert TABLE["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert TABLE["Properties"]["SSESpecification"] == {"SSEEnabled": True}


def test_template_has_the_default_name_of_the_service() -> None:
    assert TEMPLATE["Parameters"]["TableName"]["Default"] == Settings.model_fields["table_name"].default
