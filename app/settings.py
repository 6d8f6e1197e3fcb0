"""The service's settings: environment variables PLAYLISTS_*, read once at the start."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX = "PLAYLISTS_"


class InvalidSettings(Exception):
    """One line that names each wrong variable and says what it takes."""


def _compilable(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise ValueError(f"must be a regular expression: {error}") from error
    except RecursionError as error:
        raise ValueError("must be a regular expression that is not nested so deeply") from error
    return pattern


def _as_long_as_a_request(seconds: int, info: ValidationInfo) -> int:
    deadline = info.data.get("request_deadline_seconds", 0)
    if seconds < deadline:
        raise ValueError(f"must be {deadline} (PLAYLISTS_REQUEST_DEADLINE_SECONDS) or more, or writes are cut off")
    return seconds


class Settings(BaseSettings):
    """All settings, with their defaults; the README's table lists them in this order.

    AWS's own variables (AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB, credentials, profiles) are read by
    the SDK and have no twin here.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    auth: Literal["none"] = Field(
        description="Who may call: `none` is everyone, as `anonymous`. Required outside `playlists dev`."
    )
    table_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] = Field(
        default="music_items", description="The DynamoDB table."
    )
    require_precondition: bool = Field(
        default=False,
        description="Answer 428 to a PATCH, DELETE or replacing PUT that names no state.",
    )
    track_token_pattern: Annotated[str, AfterValidator(_compilable)] | None = Field(
        default=None,
        description="A regular expression that every new track token has to match in full, on top of "
        "`album/track`, for libraries whose other readers crash on other forms.",
    )
    connect_timeout_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Longest wait for a connection to DynamoDB."
    )
    read_timeout_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Longest silence of DynamoDB while it answers."
    )
    request_deadline_seconds: float = Field(
        default=5.0, gt=0, le=60, description="All the time that a request may take with DynamoDB, retries included."
    )
    max_attempts: int = Field(default=4, ge=1, le=100, description="Attempts at one call to DynamoDB at most.")
    retry_base_delay_seconds: float = Field(
        default=0.05, gt=0, le=10, description="Back-off before the first retry; doubles with each, with full jitter."
    )
    retry_budget: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="Retries that a process may make in a row; ten successes earn one back.",
    )
    append_attempts: int = Field(
        default=16,
        ge=1,
        le=100,
        description="Attempts at an append at most, each on what others left, before it is a conflict.",
    )
    max_connections: int = Field(
        default=64, ge=1, le=10_000, description="Connections to DynamoDB that one process keeps at most."
    )
    mrec_write_region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = Field(
        default=None,
        description="Serve on a global table with multi-Region eventual consistency all the same: accept writes in "
        "this Region alone, and only reads in the others.",
    )
    skip_table_check: bool = Field(
        default=False,
        description="Start without DescribeTable, for credentials that may not call it.",
    )
    shutdown_grace_seconds: Annotated[int, AfterValidator(_as_long_as_a_request)] = Field(
        default=20,
        ge=0,
        le=3_600,
        description="How long requests in flight may go on once the service stops; not less than the deadline of a "
        "request.",
    )
    drain_seconds: int = Field(
        default=5,
        ge=0,
        le=300,
        description="How long new requests are still served after SIGTERM, while readiness fails already.",
    )
    max_requests_in_flight: int = Field(
        default=64,
        ge=1,
        le=1_000_000,
        description="Requests that one process serves at once; those over it are refused.",
    )
    body_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Longest wait for a request's body, from its headers to its end."
    )


def load_settings(**overrides: object) -> Settings:
    """Read the environment; `overrides` win over it. Raises InvalidSettings."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidSettings("; ".join(_fault(fault) for fault in error.errors())) from None


def _fault(fault: object) -> str:
    assert isinstance(fault, dict)
    name = _PREFIX + str(fault["loc"][0]).upper()
    if fault["type"] == "missing":
        return f"{name} is not set: set it to 'none' to serve everyone without authentication"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{name}={fault['input']!r:.100}: {message[0].lower()}{message[1:]}"
