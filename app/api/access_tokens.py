"""Access tokens: JWTs of one issuer for one audience (RFC 9068), judged after RFC 8725."""

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.api.bodies import strict_json
from app.api.jwks import ALGORITHMS, IssuerKeys
from app.api.problems import RequestRefused
from app.settings import Settings

TOKEN_LENGTH_LIMIT = 8_192
SUBJECT_LENGTH_LIMIT = 255

# RFC 7515 section 7.1. A JWE has five parts.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Keys that the token itself brings or points to are the attacker's (RFC 8725 section 3.10); extensions that must be
# understood are not, and neither are tokens within the token.
_REFUSED_PARAMETERS = {"jku", "jwk", "x5u", "x5c", "crit", "cty"}
_LATEST = 253_402_300_799  # The end of the year 9999.


class InvalidToken(Exception):
    """A token that is not accepted; the text is one of a few, and says nothing of what is in the token."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a token stands for, and the scopes that it gives to them."""

    subject: str
    scopes: frozenset[str]


class AccessTokens:
    """Tells tokens that the issuer made for this service, and that are valid now, from all others."""

    def __init__(self, settings: Settings, keys: IssuerKeys) -> None:
        self.keys = keys
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._leeway = settings.jwt_leeway_seconds
        self._types = {_media_type(name.strip()) for name in settings.jwt_types.split(",")}

    async def grant(self, token: str) -> Grant:
        """What the token grants. Raises InvalidToken; KeySetUnavailable if it cannot be judged yet."""
        if len(token) > TOKEN_LENGTH_LIMIT:
            raise InvalidToken(f"The token is longer than {TOKEN_LENGTH_LIMIT:,} characters.")
        compact = _COMPACT.fullmatch(token)
        if compact is None:
            raise InvalidToken("The token is no signed JWT of three parts.")
        header, payload, signature = map(_decoded, compact.groups())
        await self._check_signature(_members(header), signature, token.rpartition(".")[0].encode())
        claims = _members(payload)
        self._check_origin(claims)
        self._check_times(claims, time.time())
        return Grant(_subject(claims), _scopes(claims))

    async def _check_signature(self, header: Mapping[str, Any], signature: bytes, signed: bytes) -> None:
        algorithm, kind = header.get("alg"), header.get("typ")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise InvalidToken("The token is not signed with an algorithm that is accepted.")
        if not isinstance(kind, str) or _media_type(kind) not in self._types:
            raise InvalidToken("The token is not of a type that is accepted.")
        if _REFUSED_PARAMETERS & header.keys():
            raise InvalidToken("The token has a header parameter that is not accepted.")
        key = await self.keys.find(algorithm=algorithm, kid=header.get("kid"))
        if key is None:
            raise InvalidToken("The token does not name a key of the issuer.")
        if not key.verifies(signature, signed, algorithm=algorithm):
            raise InvalidToken("The signature of the token is wrong.")

    def _check_origin(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._issuer:
            raise InvalidToken("The token is of another issuer.")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken("The token is for another audience.")

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        for name in {"exp", "nbf", "iat"} & claims.keys():
            date = claims[name]
            if isinstance(date, bool) or not isinstance(date, int | Decimal) or not 0 <= date <= _LATEST:
                raise InvalidToken("A date of the token is no number of seconds.")
        if "exp" not in claims:
            raise InvalidToken("The token does not say when it expires.")
        if now - self._leeway >= claims["exp"]:
            raise InvalidToken("The token has expired.")
        if now + self._leeway < max(claims.get("nbf", 0), claims.get("iat", 0)):
            raise InvalidToken("The token is not valid yet.")


def _media_type(kind: str) -> str:
    """A `typ` without the prefix that may be left out (RFC 7515 section 4.1.9)."""
    return kind.lower().removeprefix("application/")


def _decoded(part: str) -> bytes:
    try:
        decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        decoded = b""
    # Compared as text: some bytes have several forms, and a token is to have one alone.
    if urlsafe_b64encode(decoded).decode().rstrip("=") != part:
        raise InvalidToken("The token is no signed JWT of three parts.")
    return decoded


def _members(part: bytes) -> Mapping[str, Any]:
    try:
        members = strict_json(part)
    except RequestRefused:
        members = None
    if not isinstance(members, dict):
        raise InvalidToken("A part of the token is no JSON object.")
    return members


def _subject(claims: Mapping[str, Any]) -> str:
    """The subject, in a form that can be an owner: the key of an index takes no more."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_LENGTH_LIMIT:
        raise InvalidToken(f"The subject of the token is no string of 1 to {SUBJECT_LENGTH_LIMIT} characters.")
    if _CONTROL_CHARACTER.search(subject):
        raise InvalidToken("The subject of the token has control characters.")
    return subject


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise InvalidToken("The scope of the token is no string.")
    return frozenset(scope.split(" "))
