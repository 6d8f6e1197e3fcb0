"""Who writes the table in these tests: a caller of ours, and another program past the service, synchronously."""

from typing import Any, TypeAlias

import boto3
from botocore.config import Config

from app.domain.access import Caller

# As boto3 has it.
Item: TypeAlias = dict[str, dict[str, Any]]

_KNOWN = ("partition_key", "sort_key", "playlist_name", "playlist_version", "track_tokens")


# An admin, because the playlists of other programs have no owner.
ME = Caller(subject="me", is_admin=True)


class OtherProgram:
    """Another program on the table. It knows the first five attributes only, as Tempest's do."""

    def __init__(self, endpoint_url: str, table_name: str) -> None:
        self._client: Any = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=endpoint_url,
            config=Config(retries={"total_max_attempts": 1}),
        )
        self._table_name = table_name

    def put(self, item: Item) -> None:
        self._client.put_item(TableName=self._table_name, Item=item)

    def put_playlist(self, playlist_token: str, **attributes: Any) -> Item:
        """Store a playlist as it would (Tempest's `save`); `attributes` replace or add to its own."""
        item: Item = {
            "partition_key": {"S": playlist_token},
            "sort_key": {"S": "INFO_"},
            "playlist_name": {"S": "Theirs"},
            "playlist_version": {"N": "1"},
            "track_tokens": {"L": []},
            **attributes,
        }
        self.put({name: value for name, value in item.items() if value is not None})
        return item

    def save(self, playlist_token: str, playlist_name: str) -> Item | None:
        """Rename by a PutItem of what it knows, locked on the version alone; None if another writer came first."""
        read = self.read(playlist_token)
        assert read is not None
        item = {name: read[name] for name in _KNOWN} | {
            "playlist_name": {"S": playlist_name},
            "playlist_version": {"N": str(int(read["playlist_version"]["N"]) + 1)},
        }
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item=item,
                ConditionExpression="playlist_version = :read",
                ExpressionAttributeValues={":read": read["playlist_version"]},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return item

    def rename_in_place(self, playlist_token: str, playlist_name: str) -> Item:
        """Rename by an UpdateItem that raises the version (Tempest's transactional save)."""
        answer = self._client.update_item(
            TableName=self._table_name,
            Key=_key(playlist_token),
            UpdateExpression="SET playlist_name = :name ADD playlist_version :one",
            ExpressionAttributeValues={":name": {"S": playlist_name}, ":one": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )
        item: Item = answer["Attributes"]
        return item

    def set(self, playlist_token: str, **attributes: Any) -> None:
        """Set attributes by an UpdateItem that does not raise the version; None removes one."""
        set_to = {name: value for name, value in attributes.items() if value is not None}
        removed = [name for name in attributes if name not in set_to]
        clauses = ["SET " + ", ".join(f"{name} = :{name}" for name in set_to)] if set_to else []
        clauses += ["REMOVE " + ", ".join(removed)] if removed else []
        values = {"ExpressionAttributeValues": {f":{name}": value for name, value in set_to.items()}} if set_to else {}
        self._client.update_item(
            TableName=self._table_name, Key=_key(playlist_token), UpdateExpression=" ".join(clauses), **values
        )

    def delete(self, playlist_token: str) -> None:
        self._client.delete_item(TableName=self._table_name, Key=_key(playlist_token))

    def read(self, playlist_token: str, sort_key: str = "INFO_") -> Item | None:
        answer = self._client.get_item(
            TableName=self._table_name, Key=_key(playlist_token, sort_key), ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        return item


def _key(playlist_token: str, sort_key: str = "INFO_") -> Item:
    return {"partition_key": {"S": playlist_token}, "sort_key": {"S": sort_key}}
