import json
import sys

from app.api.responses import playlist_response
from app.domain.playlist import Playlist


def test_a_playlist_is_told_in_utf8_that_escapes_what_json_wants_escaped_and_no_more() -> None:
    every_character = "".join(map(chr, (*range(0xD800), *range(0xE000, sys.maxunicode + 1))))
    playlist = Playlist(
        playlist_token="p1",
        playlist_name=every_character,
        playlist_version=2**63 - 2,
        track_tokens=("é/\u2028", "a/b"),
        track_count=2,
    )

    answer = playlist_response(playlist)

    members = {
        "playlist_token": "p1",
        "playlist_name": every_character,
        "playlist_version": 2**63 - 2,
        "track_tokens": ["é/\u2028", "a/b"],
        "track_count": 2,
        "playlist_owner": None,
        "created_at": None,
        "updated_at": None,
    }
    assert bytes(answer.body) == json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
