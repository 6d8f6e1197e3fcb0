"""A global table with eventual consistency, played with two tables: each Region judges conditions by itself."""

from boto3.dynamodb.conditions import Attr
from dynamodb import KEY, music_table

with music_table() as frankfurt, music_table() as dublin:
    item = {**KEY, "playlist_name": "Morning Run", "playlist_version": 1, "track_tokens": []}
    for replica in (frankfurt, dublin):
        replica.put_item(Item=item)

    for replica, playlist_name in ((frankfurt, "Road Trip"), (dublin, "Evening Run")):
        renamed = {**item, "playlist_name": playlist_name, "playlist_version": 2}
        replica.put_item(Item=renamed, ConditionExpression=Attr("playlist_version").eq(1))
        print(f"{playlist_name}: acknowledged at version 2")

    # Replication: of two versions of an item the one that was written last stays, everywhere.
    frankfurt.put_item(Item=dublin.get_item(Key=KEY, ConsistentRead=True)["Item"])
    for name, replica in (("Frankfurt", frankfurt), ("Dublin", dublin)):
        print(f"{name} has:", replica.get_item(Key=KEY, ConsistentRead=True)["Item"]["playlist_name"])
