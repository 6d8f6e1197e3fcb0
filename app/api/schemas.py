"""The JSON bodies, as they are validated and as the OpenAPI document shows them."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    RootModel,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from app.domain import playlist as domain
from app.domain.json_patch import OPERATIONS_LIMIT, POINTER_PATTERN, JsonPatch
from app.domain.patch import MergePatch, Replacement, TrackInsertion, check_track_tokens
from app.domain.playlist import (
    NAME_MAX_LENGTH,
    NAME_PATTERN,
    SUMMARY_MEMBERS,
    TRACK_TOKEN_PATTERN,
    PlaylistContent,
)
from app.store.items import ITEM_SIZE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_BEYOND_INT64 = Decimal(2**64)
# The shortest token, "a/b", takes three bytes of an item and one of the list.
TRACKS_LIMIT = ITEM_SIZE_LIMIT // 4
BODY_LIMIT = 1_048_576
PAGE_LIMIT = 100
PAGE_LIMIT_DEFAULT = 50
_MEMBERS_LIMIT = 100
# pydantic speaks of Python's types; who reads this has sent JSON.
_IN_JSON_WORDS = {
    "extra_forbidden": "is not known here",
    "greater_than_equal": "must be {ge} or more",
    "int_type": "must be an integer",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be an array",
    "literal_error": "must be one of {expected}",
    "missing": "must be there",
    "model_type": "must be an object",
    "string_type": "must be a string",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
}


def _integral(value: Any) -> Any:
    # JSON has one kind of number: 3.0 is the integer 3 (JSON Schema, section 6.1.1).
    if not isinstance(value, Decimal) or value != value.to_integral_value():
        return value
    # Beyond any bound that an integer has here, 1e999999 would be a million digits.
    return int(max(-_BEYOND_INT64, min(value, _BEYOND_INT64)))


def _without_defaults(schema: dict[str, Any]) -> None:
    for member in schema["properties"].values():
        member.pop("default", None)


PlaylistName = Annotated[
    str,
    Field(
        description="1 to 200 characters, not blank, no control characters.",
        json_schema_extra={"minLength": 1, "maxLength": NAME_MAX_LENGTH, "pattern": NAME_PATTERN},
    ),
]
TrackToken = Annotated[
    str,
    Field(description="`album/track`", json_schema_extra={"pattern": TRACK_TOKEN_PATTERN, "maxLength": 257}),
]
TrackTokens = Annotated[
    list[TrackToken],
    FailFast(),
    Field(max_length=TRACKS_LIMIT, description="`album/track` tokens in order; duplicates are allowed."),
]
# The list that replaces the current one. Client generators initialise an array that cannot be null, and then send `[]`
# for a member that nobody set, which erases the tracks. This says the same, and they leave it unset: null is excluded.
ReplacementTracks = Annotated[
    TrackTokens, Field(json_schema_extra={"type": ["array", "null"], "not": {"type": "null"}})
]
ExpectedVersion = Annotated[
    int,
    # The bounds stand before the validator, or they would not be known as an integer's in the document.
    Field(ge=INT64_MIN, le=INT64_MAX),
    BeforeValidator(_integral),
    Field(
        description="The version that you expect to be current; another one is answered 409.",
        json_schema_extra={"format": "int64"},
    ),
]


class RequestBody(BaseModel):
    """A body of the right members and types; whether its names and tracks may be stored, a change decides."""

    model_config = ConfigDict(extra="forbid", strict=True)

    _track_token_pattern: re.Pattern[str] | None = None

    def model_post_init(self, context: Any, /) -> None:
        self._track_token_pattern = (context or {}).get("track_token_pattern")

    @model_validator(mode="before")
    @classmethod
    def _check_size(cls, document: Any) -> Any:
        # Each unknown member is a fault, and a body has room for a hundred thousand.
        if isinstance(document, dict) and len(document) > _MEMBERS_LIMIT:
            raise ValueError(f"must have at most {_MEMBERS_LIMIT} members")
        return document


class PlaylistCreation(RequestBody):
    """A playlist to create."""

    playlist_name: PlaylistName
    track_tokens: TrackTokens = Field(default_factory=list)

    def content(self) -> PlaylistContent:
        """Raises InvalidChange."""
        return _replacement(self).apply(None)


class PlaylistReplacement(RequestBody):
    """A playlist to create or to replace.

    The read-only members of an answer are accepted and ignored, so that GET, edit, PUT works.
    """

    playlist_name: PlaylistName
    track_tokens: ReplacementTracks
    playlist_token: str | None = Field(default=None, description="Ignored, but has to be the path's if it is there.")
    playlist_version: ExpectedVersion | None = None
    track_count: Any = Field(default=None, description="Ignored.")
    playlist_owner: Any = Field(default=None, description="Ignored.")
    created_at: Any = Field(default=None, description="Ignored.")
    updated_at: Any = Field(default=None, description="Ignored.")

    def replacement(self) -> Replacement:
        return _replacement(self)


def _replacement(body: PlaylistCreation | PlaylistReplacement) -> Replacement:
    return Replacement(
        playlist_name=body.playlist_name,
        track_tokens=tuple(body.track_tokens),
        narrowed_to=body._track_token_pattern,
    )


class PlaylistMergePatch(RequestBody):
    """An RFC 7396 merge patch: members that are left out stay as they are; none can be removed by null."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    # None stands for a member left out; defaults are not validated, so null itself is refused.
    playlist_name: PlaylistName = Field(default=None)  # type: ignore[assignment]
    track_tokens: ReplacementTracks = Field(default=None)  # type: ignore[arg-type]
    playlist_version: ExpectedVersion = Field(default=None)  # type: ignore[assignment]

    def change(self) -> "Callable[[domain.Playlist], PlaylistContent]":
        return MergePatch(
            playlist_name=self.playlist_name,
            track_tokens=None if self.track_tokens is None else tuple(self.track_tokens),
            narrowed_to=self._track_token_pattern,
        ).apply


def _parse_json_patch(document: Any, info: ValidationInfo) -> JsonPatch:
    return JsonPatch.parse(document, narrowed_to=(info.context or {}).get("track_token_pattern"))


def _operation_schema(*ops: str, **members: dict[str, Any]) -> dict[str, Any]:
    properties = {"op": {"enum": list(ops)}, **members, "path": _POINTER_SCHEMA}
    return {"type": "object", "required": list(properties), "properties": properties}


_POINTER_SCHEMA = {"type": "string", "pattern": POINTER_PATTERN, "description": "RFC 6901 JSON Pointer."}
# Schemas of their own in the document: generated clients name their classes after them.
JSON_PATCH_OPERATIONS = {
    "JsonPatchValueOperation": _operation_schema(
        "add", "replace", "test", value={"description": "Any that fits the path."}
    ),
    "JsonPatchRemoveOperation": _operation_schema("remove"),
    "JsonPatchFromOperation": _operation_schema("move", "copy", **{"from": _POINTER_SCHEMA}),
}
_JSON_PATCH_SCHEMA = {
    "type": "array",
    "maxItems": OPERATIONS_LIMIT,
    "items": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in JSON_PATCH_OPERATIONS]},
}


class PlaylistJsonPatch(
    RootModel[Annotated[Any, PlainValidator(_parse_json_patch), WithJsonSchema(_JSON_PATCH_SCHEMA)]]
):
    """An RFC 6902 JSON Patch of the playlist as a GET shows it, all or nothing.

    `/playlist_name`, `/track_tokens` and `/track_tokens/{index}` can be changed; `test` and the `from`
    of a `copy` may name any member. Members of an operation that RFC 6902 does not define are ignored.
    """

    # Nothing expects a version here: a `test` of it is judged with the other operations.
    playlist_version: ClassVar[None] = None

    def change(self) -> "Callable[[domain.Playlist], PlaylistContent]":
        patch: JsonPatch = self.root
        return patch.apply


class NewTracks(RequestBody):
    """Tracks to insert, in this order."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    track_tokens: Annotated[TrackTokens, Field(min_length=1)]
    # None stands for a member left out; defaults are not validated, so null itself is refused.
    position: Annotated[
        int,
        Field(ge=0, le=TRACKS_LIMIT),
        BeforeValidator(_integral),
        Field(description="The index that the first of them gets; left out, they are appended."),
    ] = Field(default=None)  # type: ignore[assignment]
    on_duplicate: Literal["add", "skip", "reject"] = Field(
        default="add",
        description="What becomes of a track that is there already, in the playlist or before it in this list: "
        "`add` it again, `skip` it, or `reject` the request.",
    )

    def insertion(self) -> TrackInsertion:
        """Raises InvalidChange."""
        check_track_tokens(self.track_tokens, narrowed_to=self._track_token_pattern)
        return TrackInsertion(
            track_tokens=tuple(self.track_tokens), position=self.position, on_duplicate=self.on_duplicate
        )


StoredVersion = Annotated[
    int | None,
    Field(
        description="1 at creation, +1 with every write that changes something. "
        "Null where the stored one is missing (the first write sets 1) or cannot be counted up.",
        json_schema_extra={"format": "int64"},
    ),
]
CreatedAt = Annotated[str | None, Field(description="RFC 3339 UTC; null where another program made the playlist.")]
UpdatedAt = Annotated[str | None, Field(description="RFC 3339 UTC; null before the first write of this service.")]


class Playlist(BaseModel):
    """One state of a playlist."""

    playlist_token: str
    playlist_name: str = Field(description="Empty where the item has none, or one that is not a string.")
    playlist_version: StoredVersion
    track_tokens: list[str] = Field(description="`album/track` tokens in order; duplicates are allowed.")
    track_count: int = Field(
        description="The number of elements that the stored list has. There are fewer `track_tokens` where another "
        "program has stored elements that are not strings; the tracks can only be read then."
    )
    playlist_owner: str | None = Field(description="Null where another program made the playlist.")
    created_at: CreatedAt
    updated_at: UpdatedAt


class PlaylistSummary(BaseModel):
    """A playlist without its tracks."""

    playlist_token: str
    playlist_name: str
    playlist_version: StoredVersion
    playlist_owner: str
    created_at: CreatedAt
    updated_at: UpdatedAt


class PlaylistPage(BaseModel):
    """A part of a list of playlists."""

    items: list[PlaylistSummary] = Field(max_length=PAGE_LIMIT)
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="`/problems/{code}`, which explains the code.")
    title: str
    status: int
    detail: str = Field(description="What was wrong, and what to do next.")
    instance: str = Field(description="The path of the request.")
    code: str = Field(description="Stable name of the problem.")
    request_id: str


class ConflictProblem(Problem):
    """What was met instead of what was expected: enough to merge and retry with no further read."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    expected_version: int | None = Field(
        description="The version that you, or the read for you, expected.", json_schema_extra={"format": "int64"}
    )
    expected_etag: str | None = Field(description="The entity-tag that you, or the read for you, expected.")
    current: Playlist | None = Field(description="The playlist as it is now; null where there is none.")
    current_etag: str | None = Field(description="Its entity-tag, for the If-Match of the retry.")
    changed: list[str] = Field(
        default=[],
        description="Members that differ from what was read; there only where another writer got in between.",
    )


class TooLargeProblem(Problem):
    size: int | None = Field(description="Bytes that it would take; null where it was not measured.")
    limit: int = Field(description="Bytes allowed.")


class InvalidMember(BaseModel):
    pointer: str = Field(description="RFC 6901 JSON Pointer into the request body; empty for a parameter's fault.")
    detail: str


class InvalidRequestProblem(Problem):
    errors: list[InvalidMember]


class PlayCount(BaseModel):
    playlist_token: str
    play_count: int | None = Field(
        description="Null where another program has stored something else than a whole number.",
        json_schema_extra={"format": "int64"},
    )


class Liveness(BaseModel):
    status: str


def fault_detail(fault: "ErrorDetails") -> str:
    """What is wrong with a member, in JSON's words."""
    if words := _IN_JSON_WORDS.get(fault["type"]):
        return words.format_map(fault.get("ctx", {}))
    return fault["msg"].removeprefix("Value error, ")


def summary_members(summary: domain.PlaylistSummary) -> dict[str, Any]:
    """A playlist without its tracks as its JSON members, in their documented order."""
    return {name: getattr(summary, name) for name in SUMMARY_MEMBERS}
