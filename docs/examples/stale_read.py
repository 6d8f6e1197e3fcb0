"""GetItem is eventually consistent unless told otherwise: what was read may be older than one's own last write."""

from dynamodb import KEY, music_table, patch, service_on, through
from proxy import proxy_to


def rename(table, playlist_name: str) -> str:
    item = table.get_item(Key=KEY)["Item"]
    if item["playlist_name"] == playlist_name:
        return "nothing to do"
    table.put_item(Item={**item, "playlist_name": playlist_name, "playlist_version": item["playlist_version"] + 1})
    return "renamed"


with music_table() as table, proxy_to(table.meta.client.meta.endpoint_url) as proxy:
    proxy.has_lagging_replica = True
    naive = through(proxy.url, table)
    table.put_item(Item={**KEY, "playlist_name": "Morning Run", "playlist_version": 1, "track_tokens": []})

    print("naive writer, to Road Trip:   ", rename(naive, "Road Trip"))
    print("naive writer, to Morning Run: ", rename(naive, "Morning Run"))
    print("in the table:                 ", table.get_item(Key=KEY, ConsistentRead=True)["Item"]["playlist_name"])

    with service_on(table, proxy.url) as url:
        print("the service, to Morning Run:  ", patch(url, {"playlist_name": "Morning Run"}))
