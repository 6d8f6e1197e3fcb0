"""A write is made and its answer lost: the SDK sends it again, and it fails on its own condition."""

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError
from dynamodb import KEY, music_table, patch, service_on, through
from proxy import proxy_to

with music_table() as table, proxy_to(table.meta.client.meta.endpoint_url) as proxy:
    table.put_item(Item={**KEY, "playlist_name": "Morning Run", "playlist_version": 1, "track_tokens": []})

    naive = through(proxy.url, table)
    item = naive.get_item(Key=KEY, ConsistentRead=True)["Item"]
    proxy.loses_next_answer = True
    try:
        naive.put_item(
            Item={**item, "playlist_name": "Road Trip", "playlist_version": 2},
            ConditionExpression=Attr("playlist_version").eq(item["playlist_version"]),
        )
    except ClientError as error:
        retries = error.response["ResponseMetadata"]["RetryAttempts"]
        print(f"naive writer: {error.response['Error']['Code']} after {retries} retry")
    item = table.get_item(Key=KEY, ConsistentRead=True)["Item"]
    print(f"in the table: {item['playlist_name']!r} at version {item['playlist_version']}")

    with service_on(table, proxy.url) as url:
        proxy.loses_next_answer = True
        print("the service: ", patch(url, {"playlist_name": "Evening Run"}))
