"""A PutItem replaces the whole item: what the writer's model does not know is gone, and its condition holds."""

from boto3.dynamodb.conditions import Attr
from dynamodb import KEY, music_table, patch, service_on

KNOWN = ("partition_key", "sort_key", "playlist_name", "playlist_version", "track_tokens")


def extras(table) -> list[str]:
    item = table.get_item(Key=KEY, ConsistentRead=True)["Item"]
    return sorted(name for name in item if name not in KNOWN and name not in ("recent_writes", "updated_at"))


with music_table() as table:
    item = {**KEY, "playlist_name": "Morning Run", "playlist_version": 1, "track_tokens": [], "artwork": "run.png"}

    table.put_item(Item=item)
    with service_on(table) as url:
        patch(url, {"playlist_name": "Road Trip"})
    print("the service leaves:", extras(table))

    read = table.get_item(Key=KEY, ConsistentRead=True)["Item"]
    model = {name: read[name] for name in KNOWN}
    table.put_item(
        Item={**model, "playlist_name": "Evening Run", "playlist_version": 3},
        ConditionExpression=Attr("playlist_version").eq(2),
    )
    print("a naive writer leaves:", extras(table))
