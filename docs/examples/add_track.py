"""Add a track to a playlist by read, modify, write; a conflict brings the state to go on from."""

import json
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def add_track(url: str, track_token: str) -> dict:
    # Read.
    with urlopen(url) as answer:
        playlist, etag = json.load(answer), answer.headers["ETag"]
    while track_token not in playlist["track_tokens"]:
        # Modify.
        change = {"track_tokens": [*playlist["track_tokens"], track_token]}
        # Write, if nobody else has.
        headers = {"If-Match": etag, "Content-Type": "application/merge-patch+json"}
        try:
            with urlopen(Request(url, json.dumps(change).encode(), headers, method="PATCH")) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code != 412:
                raise
            # Somebody has: read it from the answer, and modify that.
            conflict = json.load(error)
            playlist, etag = conflict["current"], conflict["current_etag"]
    return playlist


if __name__ == "__main__":
    playlist = add_track(*sys.argv[1:])
    print(playlist["playlist_name"], "at version", playlist["playlist_version"], "has", playlist["track_tokens"])
