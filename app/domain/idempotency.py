"""What names a logical write, so that it is recognised when it comes again.

The name is a write token of 16 base64url characters (96 bits), stored in the item by the write
itself. A write with an idempotency key has the same token whenever and wherever it is repeated.
"""

import hashlib
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import IdempotencyKeyReused

KEY_MAX_LENGTH = 255

# The draft for the header ("The Idempotency-Key HTTP Header Field", IETF httpapi) has an RFC 9651
# string, with quotes; most clients send the key bare.
_BARE = rf"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{{1,{KEY_MAX_LENGTH}}}"
_QUOTED = rf'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){{1,{KEY_MAX_LENGTH}}}"'
KEY_PATTERN = rf"^(?:{_BARE}|{_QUOTED})$"
_FIELD_VALUE = re.compile(KEY_PATTERN.removesuffix("$"))
_HALF = 8


class MalformedIdempotencyKey(ValueError):
    """A field value that is no key."""


def parse_idempotency_key(field_value: str) -> str:
    """The key in a field value, with or without quotes. Raises MalformedIdempotencyKey."""
    if not _FIELD_VALUE.fullmatch(field_value):
        raise MalformedIdempotencyKey(field_value)
    if field_value.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", field_value[1:-1])
    return field_value


@dataclass(frozen=True, slots=True)
class LogicalWrite:
    """One write as its caller means it, however many attempts and repeats it takes.

    `caller_and_key` is a digest of who sent which idempotency key, None where there is no key.
    """

    token: str
    caller_and_key: bytes | None = None

    @classmethod
    def unkeyed(cls) -> "LogicalWrite":
        """A write that is no repeat of any other: 96 random bits."""
        return cls(_base64url(os.urandom(12)))

    @classmethod
    def keyed(cls, *, caller: str, key: str, method: str, target: str, body: bytes) -> "LogicalWrite":
        """A write with an idempotency key: 48 bits of who and which key, then 48 of what is asked for."""
        caller_and_key = _digest(caller.encode(), key.encode())
        request = _digest(method.encode(), target.encode(), body)
        return cls(_base64url(caller_and_key[:6]) + _base64url(request[:6]), caller_and_key)

    @property
    def is_keyed(self) -> bool:
        return self.caller_and_key is not None

    @property
    def playlist_token(self) -> str | None:
        """The token of a playlist that this write creates, the same at each repeat; None without a key."""
        return None if self.caller_and_key is None else _base64url(self.caller_and_key[:18])

    def is_among(self, recent_writes: Sequence[str]) -> bool:
        """Whether this write was made, as far as the window reaches.

        Raises IdempotencyKeyReused if the key was used for another request.
        """
        if self.token in recent_writes:
            return True
        if self.is_keyed and any(token.startswith(self.token[:_HALF]) for token in recent_writes):
            raise IdempotencyKeyReused
        return False


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        # With the lengths, so that no two lists of parts are one text.
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
