"""OpenAPI links: what of an answer goes into which request after it, the entity-tag above all."""

from typing import Any

_TOKEN = {"playlist_token": "$response.body#/playlist_token"}
_IF_UNCHANGED = {**_TOKEN, "If-Match": "$response.header.ETag"}
_IF_STILL_CURRENT = {
    "playlist_token": "$response.body#/current/playlist_token",
    "If-Match": "$response.body#/current_etag",
}


def _link(operation_id: str, description: str, parameters: dict[str, str], **more: str) -> dict[str, Any]:
    return {"operationId": operation_id, "description": description, "parameters": parameters, **more}


_OF_PLAYLIST = {
    "read_if_changed": _link(
        "get_playlist", "Read it only if it has changed.", {**_TOKEN, "If-None-Match": "$response.header.ETag"}
    ),
    "edit": _link("edit_playlist", "Edit it if it is still in this state.", _IF_UNCHANGED),
    "put_back": _link("put_playlist", "Edit the answer and put it back.", _IF_UNCHANGED, requestBody="$response.body"),
    "insert_tracks": _link("insert_tracks", "Insert tracks if it is still in this state.", _IF_UNCHANGED),
    "delete": _link("delete_playlist", "Delete it if it is still in this state.", _IF_UNCHANGED),
    "count_play": _link("count_play", "Count a play of it.", _TOKEN),
    "read_plays": _link("get_plays", "Read how often it was played.", _TOKEN),
}
_OF_CONFLICT = {
    "retry_edit": _link("edit_playlist", "Merge into `current`, and edit that.", _IF_STILL_CURRENT),
    "retry_put": _link("put_playlist", "Merge into `current`, and put that.", _IF_STILL_CURRENT),
    "retry_delete": _link("delete_playlist", "Delete `current` all the same.", _IF_STILL_CURRENT),
}
_OF_PAGE = {
    "read_first": _link(
        "get_playlist", "Read a playlist of the page.", {"playlist_token": "$response.body#/items/0/playlist_token"}
    ),
    "next_page": _link("list_playlists", "Go on in the list.", {"cursor": "$response.body#/next_cursor"}),
}


def _references(links: dict[str, Any]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/links/{name}"} for name in links}


LINKS = _OF_PLAYLIST | _OF_CONFLICT | _OF_PAGE
LINKS_OF_PLAYLIST, LINKS_OF_CONFLICT, LINKS_OF_PAGE = map(_references, (_OF_PLAYLIST, _OF_CONFLICT, _OF_PAGE))
