"""Creates a playlist, renames it, and merges after a conflict: `rename.py URL`. Prints the playlist's token.

With a client that openapi-generator makes.
"""

import sys

from openapi_client import ApiClient, Configuration, PlaylistsApi
from openapi_client.exceptions import ConflictException
from openapi_client.models import ConflictProblem, PlaylistCreation, PlaylistMergePatch

TRACKS = ["A/1", "A/2"]


def main(playlists: PlaylistsApi) -> None:
    created = playlists.create_playlist(PlaylistCreation(playlist_name="First", track_tokens=TRACKS))
    token = created.playlist_token
    renamed = playlists.edit_playlist(token, PlaylistMergePatch(playlist_name="Second"))
    assert renamed.track_tokens == TRACKS

    stale = PlaylistMergePatch(playlist_name="Stale", playlist_version=created.playlist_version)
    conflict = None
    try:
        playlists.edit_playlist(token, stale)
    except ConflictException as refusal:
        conflict = refusal.data
    assert isinstance(conflict, ConflictProblem)
    assert conflict.code == "version-conflict"
    assert conflict.current == renamed

    playlists.edit_playlist(token, PlaylistMergePatch(playlist_name="Third"), if_match=conflict.current_etag)
    print(token)


if __name__ == "__main__":
    main(PlaylistsApi(ApiClient(Configuration(host=sys.argv[1]))))
