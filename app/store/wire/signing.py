"""AWS Signature Version 4 for calls to DynamoDB, which all are POSTs of JSON to one path.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
import time
from hashlib import sha256

from botocore.credentials import ReadOnlyCredentials

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
        self._second = -1
        self._date = self._scope = ""
        self._signature = _Hmac(b"")

    def headers(self, operation: str, body: bytes, *, at: float) -> str:
        """The header lines that authorize a call at a time (seconds since the epoch), each with its CRLF.

        Content-Type, Host and X-Amz-Target are signed too; the caller sends them as they are here.
        """
        if int(at) != self._second:
            self._set_second(int(at))
        canonical_request = (
            f"POST\n/\n\n{self._content_and_host}x-amz-date:{self._date}\n{self._token_line}"
            f"x-amz-target:{TARGET_PREFIX}{operation}\n\n{self._signed_names}\n{sha256(body).hexdigest()}"
        )
        digest = sha256(canonical_request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{self._date}\n{self._scope}\n{digest}"
        signature = self._signature.of(to_sign).hex()
        return (
            f"X-Amz-Date: {self._date}\r\n{self._token_header}Authorization: {_ALGORITHM} "
            f"Credential={self._access_key}/{self._scope}, SignedHeaders={self._signed_names}, "
            f"Signature={signature}\r\n"
        )

    def _set_second(self, second: int) -> None:
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        if date[:8] != self._date[:8]:
            # A signing key is good for a day.
            key = f"AWS4{self._secret_key}".encode()
            for part in (date[:8], self._region, "dynamodb", "aws4_request"):
                key = _Hmac(key).of(part)
            self._signature = _Hmac(key)
        self._second, self._date = second, date
        self._scope = f"{date[:8]}/{self._region}/dynamodb/aws4_request"


class _Hmac:
    """HMAC-SHA256 with one key, which is hashed once for all messages (RFC 2104 section 4)."""

    def __init__(self, key: bytes) -> None:
        if len(key) > _HMAC_BLOCK:
            key = sha256(key).digest()
        key = key.ljust(_HMAC_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in key))

    def of(self, message: str) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message.encode())
        outer.update(inner.digest())
        return outer.digest()
