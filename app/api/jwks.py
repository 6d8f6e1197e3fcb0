"""The issuer's keys: a JWK Set (RFC 7517) that is kept fresh without a request having to wait for it."""

import asyncio
import logging
import math
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from app.api.bodies import strict_json
from app.api.problems import RequestRefused

# Asymmetric ones only, each with the kind of key that it takes (RFC 7518 section 3.1, RFC 8037, RFC 9864): a public
# key must never be taken for the secret of an HMAC, nor a signature be left out (RFC 8725 sections 3.1 and 3.2).
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    **{f"{family}{size}": ("RSA", None) for family in ("RS", "PS") for size in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
SET_SIZE_LIMIT = 1_048_576
RSA_BITS_AT_LEAST = 2_048  # RFC 7518 section 3.3
COOL_DOWN_SECONDS = 30.0
_FETCH_SECONDS = 5.0

_PUBLIC_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

_log = logging.getLogger("app.keys")


class KeySetUnavailable(Exception):
    """One line that names the set and says why there are no keys of it."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of the issuer, and the algorithms whose signatures it may verify."""

    kid: str | None
    algorithms: frozenset[str]
    key: RSAKey | ECKey | OKPKey

    @classmethod
    def from_jwk(cls, jwk: object) -> "VerificationKey | None":
        """Read one key of a set; None if it is none to verify signatures with (RFC 7517 section 5 has such ignored).

        A private key in a published set is no secret any more, so it is not used either.
        """
        if not isinstance(jwk, dict) or _PRIVATE_MEMBERS & jwk.keys():
            return None
        kind = (jwk.get("kty"), jwk.get("crv") if jwk.get("kty") != "RSA" else None)
        algorithms = frozenset(name for name, of_kind in ALGORITHMS.items() if of_kind == kind)
        if "alg" in jwk:
            algorithms &= {name for name in algorithms if name == jwk["alg"]}
        operations = jwk.get("key_ops", ["verify"])
        is_for_signatures = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
        kid = jwk.get("kid")
        if not algorithms or not is_for_signatures or not isinstance(kid, str | None):
            return None
        key = _import_key({name: jwk.get(name) for name in _PUBLIC_MEMBERS[jwk["kty"]]})
        return None if key is None else cls(kid, algorithms, key)

    def verifies(self, signature: bytes, signed: bytes, *, algorithm: str) -> bool:
        return JWSRegistry.algorithms[algorithm].verify(signed, signature, self.key)


class IssuerKeys:
    """The key set at a URL or in a file, as it was read last.

    Read anew every `max_age` seconds, and when a token names a key that is not in it: once for all
    that ask at the same time, and not again within `cool_down` seconds, so that tokens with made-up
    keys cannot flood the issuer. While it cannot be read, the last one stays, without end.
    `on_refresh` hears of each attempt: "ok" or "failed".
    """

    def __init__(
        self,
        location: str,
        *,
        max_age: float,
        cool_down: float = COOL_DOWN_SECONDS,
        on_refresh: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._location = location
        self._max_age = max_age
        self._cool_down = cool_down
        self._on_refresh = on_refresh
        self._keys: tuple[VerificationKey, ...] = ()
        self._loaded_at = 0.0
        self._asked_for_at = -math.inf
        self._refresh: asyncio.Task[None] | None = None

    @property
    def are_there(self) -> bool:
        """Whether a set has ever been read."""
        return bool(self._keys)

    @property
    def age(self) -> float | None:
        """Seconds since the set was read; None if none ever was."""
        return asyncio.get_running_loop().time() - self._loaded_at if self.are_there else None

    async def find(self, *, algorithm: str, kid: str | None) -> VerificationKey | None:
        """The key for a token with this header (RFC 7515 section 4.1.4); None if the set has none, or several.

        A token that names no key fits only if one key alone may have signed it. Raises
        KeySetUnavailable if no set was ever read.
        """
        candidates = self._candidates(algorithm, kid)
        if not candidates and self._may_be_asked_for():
            await self.refresh()
            candidates = self._candidates(algorithm, kid)
        if not self.are_there:
            raise KeySetUnavailable("there are no keys of the issuer yet")
        return candidates[0] if len(candidates) == 1 else None

    async def load(self) -> None:
        """Read the set. Raises KeySetUnavailable, and keeps the last one then."""
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                content = await (_fetch(self._location) if "://" in self._location else _read(self._location))
            # In a thread: a set of the largest size takes long enough to be felt by others.
            self._keys = await asyncio.to_thread(_keys_in, content)
        except (aiohttp.ClientError, OSError, ValueError, _Unusable) as error:
            cause = "it takes too long" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise KeySetUnavailable(f"no keys from PLAYLISTS_JWT_JWKS={self._location}: {cause}") from error
        self._loaded_at = asyncio.get_running_loop().time()

    async def refresh(self) -> None:
        """Try to read the set; who comes while that is under way waits for the same attempt. A failure is logged."""
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._try_to_load())
        # A client that gives up must not take it from the others.
        await asyncio.wait({self._refresh})

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Read the set now and, while the context is open, again and again; nobody waits for it here."""
        keeper = asyncio.create_task(self._keep_fresh())
        try:
            yield
        finally:
            under_way = {task for task in (keeper, self._refresh) if task is not None}
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way)

    async def _keep_fresh(self) -> None:
        while True:
            began = asyncio.get_running_loop().time()
            await self.refresh()
            is_fresh = self.are_there and self._loaded_at >= began
            await asyncio.sleep(self._max_age if is_fresh else min(self._max_age, self._cool_down))

    async def _try_to_load(self) -> None:
        try:
            await self.load()
        except KeySetUnavailable as error:
            age = self.age
            then = "requests with a token are refused" if age is None else f"those of {age:.0f} s ago are used"
            _log.warning("%s; %s", error, then)
            self._on_refresh("failed")
        else:
            self._on_refresh("ok")
        finally:
            self._refresh = None

    def _candidates(self, algorithm: str, kid: str | None) -> list[VerificationKey]:
        return [key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid)]

    def _may_be_asked_for(self) -> bool:
        if self._refresh is not None:
            return True
        now = asyncio.get_running_loop().time()
        if now - self._asked_for_at < self._cool_down:
            return False
        self._asked_for_at = now
        return True


class _Unusable(Exception):
    pass


async def _fetch(url: str) -> bytes:
    # Not compressed, so that what is counted is what is held; not redirected, so that only the host that was named is
    # trusted.
    timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise _Unusable(f"the answer has status {response.status}")
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > SET_SIZE_LIMIT:
                break
        return bytes(content)


async def _read(path: str) -> bytes:
    def read() -> bytes:
        # A pipe would keep the thread for good.
        if Path(path).exists() and not Path(path).is_file():
            raise _Unusable("it is no file")
        with Path(path).open("rb") as file:
            return file.read(SET_SIZE_LIMIT + 1)

    return await asyncio.to_thread(read)


def _keys_in(content: bytes) -> tuple[VerificationKey, ...]:
    if len(content) > SET_SIZE_LIMIT:
        raise _Unusable(f"it has more than {SET_SIZE_LIMIT:,} bytes")
    try:
        document = strict_json(content)
    except RequestRefused as error:
        raise _Unusable("it is no JSON") from error
    members: Any = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise _Unusable("it is no JWK Set")
    keys = tuple(key for member in members if (key := VerificationKey.from_jwk(member)) is not None)
    if not keys:
        raise _Unusable("it has no public key for signatures that the service takes")
    return keys


def _import_key(jwk: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    try:
        match jwk["kty"]:
            case "RSA":
                # Looked at before: joserfc warns of short keys, and takes them.
                return RSAKey.import_key(jwk) if _bits(jwk["n"]) >= RSA_BITS_AT_LEAST else None
            case "EC":
                return ECKey.import_key(jwk)
            case _:
                return OKPKey.import_key(jwk)
    except (JoseError, ValueError, TypeError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number + "==")).bit_length()
