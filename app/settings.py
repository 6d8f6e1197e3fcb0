"""The service's settings: environment variables PLAYLISTS_*, read once at the start."""

import logging
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX = "PLAYLISTS_"
# The bearer token of `playlists race`.
TOKEN_VARIABLE = "PLAYLISTS_TOKEN"
# Settings that were removed, and why nothing is missing without them.
_REMOVED = {"PLAYLISTS_BASE_CACHE_MIB": "every write starts from a fresh read"}
# Variables that Kubernetes sets in every pod for a Service `playlists` or `playlists-...`.
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK = re.compile(
    r"PLAYLISTS_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=.*"
    r"|PLAYLISTS_(\w+_)?PORT=(tcp|udp|sctp)://.*"
)

_log = logging.getLogger(__name__)


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


def _location_of_keys(location: str) -> str:
    if "://" not in location:
        return location
    url = urlsplit(location)
    if url.hostname is None or url.username is not None or url.fragment:
        raise ValueError("must be a URL with a host, and without credentials and fragment")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.hostname)):
        raise ValueError("must be an https URL (http on this machine only), or the path of a file")
    return location


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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

    auth: Literal["jwt", "none"] = Field(
        default="jwt",
        description="Who may call: `jwt` is whoever has an access token, `none` is everyone, as `anonymous`.",
    )
    jwt_issuer: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The `iss` of access tokens."
    )
    jwt_audience: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="What the `aud` of access tokens has to name."
    )
    jwt_jwks: Annotated[str, AfterValidator(_location_of_keys)] | None = Field(
        default=None,
        description="The issuer's JWK Set: an https URL (http on this machine only), or the path of a file.",
    )
    jwt_jwks_max_age_seconds: int = Field(
        default=300, ge=1, le=86_400, description="How long the JWK Set is used before it is read anew."
    )
    jwt_types: Annotated[str, Field(pattern=r"^[A-Za-z0-9+./_-]+( *, *[A-Za-z0-9+./_-]+)*$")] = Field(
        default="at+jwt", description="The `typ` of access tokens, one of a list with commas."
    )
    jwt_leeway_seconds: int = Field(
        default=30, ge=0, le=300, description="How far the clocks of issuer and service may be apart."
    )
    ownerless_writes: Literal["admin", "any"] = Field(
        default="admin", description="Who may write playlists that have no owner."
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
    client: Literal["short-cut", "standard"] = Field(
        default="short-cut",
        description="How calls to DynamoDB are made: `short-cut` past the SDK, at a fifth of its cost or less, "
        "`standard` the SDK's own way. Traced calls go the standard way.",
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
        description="Requests that one process has at once, from when their head has been read; more are refused.",
    )
    body_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="Longest wait for a request's body, from its headers to its end."
    )

    @model_validator(mode="after")
    def _has_what_tokens_are_checked_by(self) -> Self:
        needed = ("jwt_issuer", "jwt_audience", "jwt_jwks")
        missing = [_PREFIX + name.upper() for name in needed if getattr(self, name) is None]
        if self.auth == "jwt" and missing:
            raise ValueError(
                f"{', '.join(missing)} not set: access tokens are checked by them "
                f"({_PREFIX}AUTH=none serves everyone without authentication)"
            )
        return self


def load_settings(**overrides: object) -> Settings:
    """Read the environment; `overrides` win over it. Raises InvalidSettings."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidSettings("; ".join(_fault(fault) for fault in error.errors())) from None


def warn_of_ignored_settings(environment: Mapping[str, str]) -> None:
    """Log a warning for each variable PLAYLISTS_* that nothing reads, with the name that is closest to it."""
    for warning in _ignored_settings(environment):
        _log.warning(warning)


def _ignored_settings(environment: Mapping[str, str]) -> Iterator[str]:
    settings = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for variable, value in sorted(environment.items()):
        # As pydantic-settings reads them: in any case, and not if they are empty.
        name = variable.upper()
        if not value or not name.startswith(_PREFIX) or variable == TOKEN_VARIABLE:
            continue
        # A name may hold anything but "=", and a log line has to stay one.
        shown = ascii(variable)[1:-1]
        if name in _REMOVED:
            yield f"{shown} is ignored, because this setting was removed: {_REMOVED[name]}"
        elif name not in settings and not _SERVICE_LINK.fullmatch(f"{name}={value}"):
            # Without the prefix, which all have in common.
            known = [known.removeprefix(_PREFIX) for known in (*settings, TOKEN_VARIABLE)]
            [closest] = get_close_matches(name.removeprefix(_PREFIX), known, n=1, cutoff=0)
            yield f"{shown} is ignored, because there is no such setting; the closest is {_PREFIX}{closest}"


def _fault(fault: object) -> str:
    assert isinstance(fault, dict)
    message: str = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    name = _PREFIX + str(fault["loc"][0]).upper()
    return f"{name}={fault['input']!r:.100}: {message[0].lower()}{message[1:]}"
