"""AWS Signature Version 4 for calls to DynamoDB, which all are POSTs of JSON to one path.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from botocore.credentials import ReadOnlyCredentials

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

CONTENT_TYPE = "application/x-amz-json-1.0"
TARGET_PREFIX = "DynamoDB_20120810."

_ALGORITHM = "AWS4-HMAC-SHA256"
_HMAC_BLOCK = 64  # Bytes.
# What stands in a header unchanged, and in the canonical request too, which folds spaces.
_PLAIN = re.compile(r"[\x21-\x7e]+")


class Signer:
    """Signs with one credential, for one host in one Region.

    Raises ValueError where a part of the credential cannot stand in a header.
    """

    def __init__(self, credentials: ReadOnlyCredentials, *, host: str, region: str) -> None:
        parts = (credentials.access_key, credentials.token or "none", host, region)
        if not all(_PLAIN.fullmatch(part) for part in parts):
            raise ValueError("a credential that no header can carry")
        self._access_key = credentials.access_key
        self._secret_key = credentials.secret_key
        self._region = region
        self._content_and_host = f"content-type:{CONTENT_TYPE}\nhost:{host}\n"
        token = credentials.token
        self._token_line = f"x-amz-security-token:{token}\n" if token else ""
        self._token_header = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        names = ["content-type", "host", "x-amz-date", *["x-amz-security-token"] * bool(token), "x-amz-target"]
        self._signed_names = ";".join(names)
        self._day = ""
        self._key = _Hmac.of_key(b"")
        # What begins alike for all calls of a second is put together and hashed once.
        self._second = -1
        self._lines = b""
        self._canonical_request = sha256()
        self._signature = self._key

    def headers(self, operation: str, body: bytes, *, at: float) -> bytes:
        """The header lines that authorize a call at a time (seconds since the epoch), each with its CRLF.

        Content-Type, Host and X-Amz-Target are signed too; the caller sends them as they are here.
        """
        if int(at) != self._second:
            self._set_second(int(at))
        canonical_request = self._canonical_request.copy()
        canonical_request.update(f"{operation}\n\n{self._signed_names}\n{sha256(body).hexdigest()}".encode())
        signature = self._signature.of(canonical_request.hexdigest())
        return b"%b%b\r\n" % (self._lines, signature.hex().encode())

    def _set_second(self, second: int) -> None:
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = date[:8]
        if day != self._day:
            # A signing key is good for a day.
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self._region, "dynamodb", "aws4_request"):
                key = _Hmac.of_key(key).of(part)
            self._day, self._key = day, _Hmac.of_key(key)
        scope = f"{day}/{self._region}/dynamodb/aws4_request"
        self._lines = (
            f"X-Amz-Date: {date}\r\n{self._token_header}Authorization: {_ALGORITHM} "
            f"Credential={self._access_key}/{scope}, SignedHeaders={self._signed_names}, Signature="
        ).encode()
        self._canonical_request = sha256(
            f"POST\n/\n\n{self._content_and_host}x-amz-date:{date}\n{self._token_line}x-amz-target:{TARGET_PREFIX}".encode()
        )
        self._signature = self._key.beginning(f"{_ALGORITHM}\n{date}\n{scope}\n")
        self._second = second


class _Hmac:
    """HMAC-SHA256 with one key, which is hashed once for all messages (RFC 2104 section 4)."""

    def __init__(self, inner: "HASH", outer: "HASH") -> None:
        self._inner = inner
        self._outer = outer

    @classmethod
    def of_key(cls, key: bytes) -> "_Hmac":
        if len(key) > _HMAC_BLOCK:
            key = sha256(key).digest()
        key = key.ljust(_HMAC_BLOCK, b"\0")
        return cls(sha256(bytes(byte ^ 0x36 for byte in key)), sha256(bytes(byte ^ 0x5C for byte in key)))

    def beginning(self, text: str) -> "_Hmac":
        """The same, for messages that begin with this and are given without it."""
        inner = self._inner.copy()
        inner.update(text.encode())
        return _Hmac(inner, self._outer)

    def of(self, message: str) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message.encode())
        outer.update(inner.digest())
        return outer.digest()
