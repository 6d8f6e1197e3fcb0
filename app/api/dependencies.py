"""What the routes get from a request besides its body.

All async, also what awaits nothing: FastAPI runs the rest in threads, which costs more than they do.
"""

from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import WithJsonSchema

from app.api.bodies import RequestContent
from app.api.fields import field_lines
from app.api.problems import RequestRefused
from app.api.routes import Declared
from app.domain.access import Caller
from app.domain.idempotency import KEY_MAX_LENGTH, KEY_PATTERN, LogicalWrite, parse_idempotency_key
from app.domain.preconditions import (
    ENTITY_TAGS_PATTERN,
    NO_PRECONDITIONS,
    EntityTags,
    MalformedEntityTags,
    Preconditions,
)
from app.store.playlists import PlaylistRepository
from app.store.plays import PlayCounters

# As the OpenAPI document shows them: a header that is left out is not null. Their examples stand in the descriptions,
# because importers switch on every header that has one of its own, and most of those requests would be refused.
_EntityTagsField = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": ENTITY_TAGS_PATTERN}),
]
_IdempotencyKeyField = Annotated[str | None, WithJsonSchema({"type": "string", "pattern": KEY_PATTERN})]

PlaylistToken = Annotated[str, Path(description="The playlist's token.", json_schema_extra={"example": "PLAYLIST_1"})]
# Not the playlist of the other examples: those that follow on the docs page still need it.
DeletedPlaylistToken = Annotated[
    str, Path(description="The playlist's token.", json_schema_extra={"example": "PLAYLIST_3"})
]


async def _repository(request: Request) -> PlaylistRepository:
    playlists: PlaylistRepository = request.scope["state"]["playlists"]
    return playlists


async def _counters(request: Request) -> PlayCounters:
    counters: PlayCounters = request.scope["state"]["counters"]
    return counters


async def _caller(request: Request) -> Caller:
    caller: Caller = request.scope["state"]["caller"]
    return caller


# Known from the authorization that every route with one of these asks for first (app/api/auth.py).
RequestCaller = Annotated[Caller, Depends(_caller)]


def _entity_tags(field_name: str, lines: list[str]) -> EntityTags | None:
    if not lines:
        return None
    try:
        # Several lines of one field are one list (RFC 9110 section 5.3).
        return EntityTags.parse(", ".join(lines))
    except MalformedEntityTags as error:
        raise RequestRefused(
            "malformed-request",
            f'{field_name} must be * or a list of entity-tags with their quotes, as in {field_name}: "3-AbC-dEf".',
        ) from error


async def _preconditions(
    request: Request,
    _if_match: Annotated[
        _EntityTagsField,
        Declared(
            alias="If-Match", description='The entity-tags of which one has to be current, as in `"3-AbC-dEf"`, or `*`.'
        ),
    ] = None,
    _if_none_match: Annotated[
        _EntityTagsField,
        Declared(
            alias="If-None-Match", description='Entity-tags of which none may be current, as in `"3-AbC-dEf"`, or `*`.'
        ),
    ] = None,
) -> Preconditions:
    if_match = _entity_tags("If-Match", field_lines(request.scope, b"if-match"))
    if_none_match = _entity_tags("If-None-Match", field_lines(request.scope, b"if-none-match"))
    required: bool = request.scope["state"]["require_precondition"]
    if if_match is None and if_none_match is None and not required:
        return NO_PRECONDITIONS
    return Preconditions(if_match=if_match, if_none_match=if_none_match, required=required)


async def _logical_write(
    request: Request,
    caller: RequestCaller,
    content: RequestContent,
    _idempotency_key: Annotated[
        _IdempotencyKeyField,
        Declared(
            alias="Idempotency-Key",
            description="A key of your choice, 1 to 255 characters, as in `8e03978e-40d5`, new for each change: send "
            "the same request with it again until it is answered, and it is made once. The key is known while the "
            "change is among the last 16 writes of the playlist (fewer where it nears 400 KB), and no other program "
            "has put the playlist anew; that of a play for ten minutes.",
        ),
    ] = None,
) -> LogicalWrite:
    lines = field_lines(request.scope, b"idempotency-key")
    if not lines:
        return LogicalWrite.unkeyed()
    try:
        [line] = lines
        key = parse_idempotency_key(line.strip(" \t"))
    except ValueError as error:
        raise RequestRefused(
            "malformed-request",
            f"Idempotency-Key must be one key of 1 to {KEY_MAX_LENGTH} visible ASCII characters, without a comma, a "
            'quote or a backslash unless it stands in quotes, as in Idempotency-Key: "8e03978e-40d5".',
        ) from error
    target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
    return LogicalWrite.keyed(
        caller=caller.subject, key=key, method=request.method, target=target.decode("latin-1"), body=content
    )


Playlists = Annotated[PlaylistRepository, Depends(_repository)]
Counters = Annotated[PlayCounters, Depends(_counters)]
RequestWrite = Annotated[LogicalWrite, Depends(_logical_write)]
RequestPreconditions = Annotated[Preconditions, Depends(_preconditions)]
