"""Who may call which operation: bearer tokens (RFC 6750) and their scopes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from app.api.access_tokens import AccessTokens, Grant, InvalidToken
from app.api.fields import field_lines
from app.api.jwks import IssuerKeys, KeySetUnavailable
from app.api.problems import RequestRefused
from app.domain.access import ANONYMOUS, Caller
from app.settings import Settings

READ = "playlists:read"
WRITE = "playlists:write"
ADMIN = "playlists:admin"

_CHALLENGE = "WWW-Authenticate"
_RETRY_AFTER_SECONDS = "5"


class Authorization(SecurityBase):
    """A dependency that lets those in who have a token with all scopes that the route names.

    Others are refused before anything else of their request is looked at. Leaves the caller in
    the `state` of its scope.
    """

    model = HTTPBearer(
        bearerFormat="JWT",
        description="An access token of the issuer that the service trusts (RFC 9068). A service that was started with "
        "`PLAYLISTS_AUTH=none`, as `playlists dev` is, asks for none.",
    )
    scheme_name = "access_token"

    async def __call__(self, request: Request, needed: SecurityScopes) -> None:
        state = request.scope["state"]
        tokens: AccessTokens | None = state["access_tokens"]
        if tokens is None:
            state["caller"] = ANONYMOUS
            return
        grant = await _grant(tokens, field_lines(request.scope, b"authorization"))
        is_admin = ADMIN in grant.scopes
        if not is_admin and not grant.scopes.issuperset(needed.scopes):
            raise _insufficient(needed.scopes)
        state["caller"] = Caller(subject=grant.subject, is_admin=is_admin, writes_ownerless=state["writes_ownerless"])


_AUTHORIZATION = Authorization()
READS = [Security(_AUTHORIZATION, scopes=[READ])]
WRITES = [Security(_AUTHORIZATION, scopes=[WRITE])]


def issuer_keys(settings: Settings, *, on_refresh: Callable[[str], None] = lambda _: None) -> IssuerKeys:
    """The keys that the settings name; they are to be read yet."""
    assert settings.jwt_jwks is not None
    return IssuerKeys(settings.jwt_jwks, max_age=settings.jwt_jwks_max_age_seconds, on_refresh=on_refresh)


@asynccontextmanager
async def opened_access_tokens(
    settings: Settings, *, on_refresh: Callable[[str], None]
) -> AsyncIterator[AccessTokens | None]:
    """What tokens are judged by, with keys that are kept fresh; None where there is no authentication."""
    if settings.auth == "none":
        yield None
        return
    keys = issuer_keys(settings, on_refresh=on_refresh)
    async with keys.kept_fresh():
        yield AccessTokens(settings, keys)


async def _grant(tokens: AccessTokens, lines: Sequence[str]) -> Grant:
    if len(lines) > 1:
        raise _invalid("The request has more than one Authorization field.")
    scheme, _, token = "".join(lines).partition(" ")
    if scheme.lower() != "bearer":
        # RFC 6750 section 3.1: who sent no token is told no error.
        raise RequestRefused(
            "unauthorized",
            "The request has no access token: send one as `Authorization: Bearer <token>`.",
            headers={_CHALLENGE: "Bearer"},
        )
    try:
        return await tokens.grant(token.strip(" "))
    except InvalidToken as error:
        raise _invalid(str(error)) from error
    except KeySetUnavailable as error:
        raise _unavailable() from error


def readiness_checks(tokens: AccessTokens | None) -> Sequence[Callable[[], None]]:
    """What has to be there before requests can be let in: the issuer's keys, where there is authentication."""
    if tokens is None:
        return ()

    def check_keys() -> None:
        if not tokens.keys.are_there:
            raise _unavailable()

    return (check_keys,)


def _unavailable() -> RequestRefused:
    return RequestRefused(
        "authentication-unavailable",
        "The service has no keys of the issuer yet to check tokens with. Nothing was read or written: retry later.",
        headers={"Retry-After": _RETRY_AFTER_SECONDS},
    )


def _invalid(fault: str) -> RequestRefused:
    challenge = f'Bearer error="invalid_token", error_description="{fault}"'
    return RequestRefused("unauthorized", fault, headers={_CHALLENGE: challenge})


def _insufficient(needed: Sequence[str]) -> RequestRefused:
    scope = " ".join(needed)
    return RequestRefused(
        "forbidden",
        f"The access token lacks the scope {scope}.",
        headers={_CHALLENGE: f'Bearer error="insufficient_scope", scope="{scope}"'},
    )
