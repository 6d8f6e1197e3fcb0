"""What the routes get from a request besides its body."""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from app.api.problems import RequestRefused
from app.domain.preconditions import EntityTags, MalformedEntityTags, Preconditions
from app.store.playlists import PlaylistRepository

# No authentication, so everyone is this.
ANONYMOUS = "anonymous"

PlaylistToken = Annotated[str, Path(description="The playlist's token.", json_schema_extra={"example": "PLAYLIST_1"})]


def _repository(request: Request) -> PlaylistRepository:
    playlists: PlaylistRepository = request.state.playlists
    return playlists


def _entity_tags(request: Request, field_name: str) -> EntityTags | None:
    # Several lines of one field are one list (RFC 9110 section 5.3).
    lines = request.headers.getlist(field_name)
    if not lines:
        return None
    try:
        return EntityTags.parse(", ".join(lines))
    except MalformedEntityTags as error:
        raise RequestRefused(
            "malformed-request",
            f'{field_name} must be * or a list of entity-tags with their quotes, as in {field_name}: "3-AbC".',
        ) from error


def _preconditions(
    request: Request,
    if_match: Annotated[
        str | None,
        Header(description='The entity-tags of which one has to be current, as in `"3-AbC"`, or `*`.'),
    ] = None,
    if_none_match: Annotated[
        str | None, Header(description="Entity-tags of which none may be current, or `*`.")
    ] = None,
) -> Preconditions:
    del if_match, if_none_match  # Declared for the OpenAPI document; FastAPI sees one line of each only.
    return Preconditions(
        if_match=_entity_tags(request, "If-Match"),
        if_none_match=_entity_tags(request, "If-None-Match"),
        required=request.state.require_precondition,
    )


Playlists = Annotated[PlaylistRepository, Depends(_repository)]
RequestPreconditions = Annotated[Preconditions, Depends(_preconditions)]
