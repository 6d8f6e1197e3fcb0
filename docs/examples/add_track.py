"""Add a track to a playlist by read, modify, write; after a conflict, wait a random time and start over."""

import json
import random
import sys
from time import sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def add_track(url: str, track_token: str) -> dict:
    longest_wait = 0.02
    while True:
        # Read.
        with urlopen(url) as answer:
            playlist, etag = json.load(answer), answer.headers["ETag"]
        if track_token in playlist["track_tokens"]:
            return playlist
        # Modify.
        change = {"track_tokens": [*playlist["track_tokens"], track_token]}
        # Write, unless somebody else has written since.
        headers = {"If-Match": etag, "Content-Type": "application/merge-patch+json"}
        try:
            with urlopen(Request(url, json.dumps(change).encode(), headers, method="PATCH")) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code != 412:
                raise
        # A conflict: wait for a random time, longer with each conflict, then read and decide again.
        sleep(random.uniform(0, longest_wait))
        longest_wait = min(2 * longest_wait, 1)


if __name__ == "__main__":
    playlist = add_track(*sys.argv[1:])
    print(playlist["playlist_name"], "at version", playlist["playlist_version"], "has", playlist["track_tokens"])
