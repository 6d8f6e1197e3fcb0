"""Two writers of one playlist, with a client generated from the OpenAPI document: `merge_and_retry.py URL`.

Each changes what the other does not, from the same state. Whoever comes second merges into what the
conflict shows, and retries without reading again.
"""

import sys
from http import HTTPStatus

from playlist_client import AuthenticatedClient
from playlist_client.api.playlists import edit_playlist, get_playlist, insert_tracks, put_playlist
from playlist_client.models import (
    ConflictProblem,
    ConflictProblemCode,
    NewTracks,
    Playlist,
    PlaylistMergePatch,
    PlaylistReplacement,
)


def main(client: AuthenticatedClient) -> None:
    put_playlist.sync("p1", client=client, body=PlaylistReplacement(playlist_name="First", track_tokens=["A/1"]))
    read = get_playlist.sync_detailed("p1", client=client)
    assert isinstance(read.parsed, Playlist)
    etag = read.headers["ETag"]

    insertion = insert_tracks.sync_detailed("p1", client=client, body=NewTracks(track_tokens=["A/2"]), if_match=etag)
    assert insertion.status_code is HTTPStatus.OK

    # By entity-tag: 412.
    renaming = PlaylistMergePatch(playlist_name="Second")
    refused = edit_playlist.sync_detailed("p1", client=client, body=renaming, if_match=etag)
    conflict = refused.parsed
    assert isinstance(conflict, ConflictProblem)
    assert conflict.code is ConflictProblemCode.PRECONDITION_FAILED
    assert isinstance(conflict.current, Playlist)
    assert isinstance(conflict.current_etag, str)
    renamed = edit_playlist.sync("p1", client=client, body=renaming, if_match=conflict.current_etag)
    assert isinstance(renamed, Playlist)

    # By version: 409.
    appended = PlaylistMergePatch(
        track_tokens=[*read.parsed.track_tokens, "A/3"], playlist_version=read.parsed.playlist_version or 0
    )
    conflict = edit_playlist.sync("p1", client=client, body=appended)
    assert isinstance(conflict, ConflictProblem)
    assert conflict.code is ConflictProblemCode.VERSION_CONFLICT
    assert isinstance(conflict.current, Playlist)
    assert isinstance(conflict.current_etag, str)
    merged = PlaylistMergePatch(track_tokens=[*conflict.current.track_tokens, "A/3"])
    assert isinstance(edit_playlist.sync("p1", client=client, body=merged, if_match=conflict.current_etag), Playlist)


if __name__ == "__main__":
    main(AuthenticatedClient(base_url=sys.argv[1], token="none is asked for"))
