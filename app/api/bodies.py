"""Request bodies: read up to a limit, decoded strictly, validated."""

import asyncio
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from email.message import Message
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from app.api.fields import field_lines, field_value
from app.api.problems import RequestRefused
from app.api.schemas import BODY_LIMIT, fault_detail
from app.domain.errors import FAULTS_LISTED
from app.store.time_limits import TimeLimit

# No body that means anything here is deeper than 4, as a `test` of the whole playlist in a JSON Patch is; the
# interpreter's own bound differs between versions.
NESTING_LIMIT = 100

# Brackets outside of strings: a whole string is one match, an unfinished one too, so that no character is read twice.
_NESTING_MARK = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)

# Where a request's scope has what is left to receive of its content, once all of that has come: most often before
# anybody asks, and then nobody has to wait.
CONTENT = "playlists.content"

Body = TypeVar("Body", bound=BaseModel)


async def read_content(request: Request) -> bytes:
    """The request's content as it was sent, up to the limits of size and time.

    One that has come whole is served, even if its client has gone since.
    """
    declared = field_value(request.scope, b"content-length").lstrip("0")
    # Python refuses to convert thousands of digits.
    if len(declared) > len(str(BODY_LIMIT)) or int(declared or 0) > BODY_LIMIT:
        raise _too_large()
    content: bytearray | None = request.scope.get(CONTENT)
    if content is None:
        return await _received_in_time(request)
    if len(content) > BODY_LIMIT:
        raise _too_large()
    return bytes(content)


async def _received_in_time(request: Request) -> bytes:
    seconds: float = request.scope["state"]["body_timeout_seconds"]
    try:
        with TimeLimit(asyncio.get_running_loop().time() + seconds, request.scope["state"]["body_timer"]):
            return await _received(request)
    except TimeoutError as error:
        raise RequestRefused(
            "request-timeout",
            f"The body did not arrive within {seconds:g} seconds.",
            headers={"Connection": "close"},
        ) from error


async def _received(request: Request) -> bytes:
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestRefused("malformed-request", "The body is broken, or the connection ended before it did.")
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


RequestContent = Annotated[bytes, Depends(read_content)]


class JsonBody(Generic[Body]):
    """A dependency that yields the request's body as the model of its media type."""

    def __init__(self, models: Mapping[str, type[Body]]) -> None:
        self._models = models

    async def __call__(self, request: Request, content: RequestContent) -> Body:
        model = self._model_of_media_type(request)
        document = strict_json(content)
        context = {"track_token_pattern": request.scope["state"]["track_token_pattern"]}
        try:
            return model.model_validate(document, context=context)
        except ValidationError as error:
            raise RequestRefused(
                "invalid-request", "The body says something that is not allowed.", errors=_faults(error)
            ) from error

    def _model_of_media_type(self, request: Request) -> type[Body]:
        media_type, charset = _content_type(field_value(request.scope, b"content-type"))
        model = self._models.get(media_type)
        if model is None:
            accepted = ", ".join(self._models)
            raise self._unsupported(request, f"Send the body with one of these as its Content-Type: {accepted}.")
        if charset not in ("utf-8", "utf8", "us-ascii") or _is_coded(request):
            raise self._unsupported(request, "Send the body in UTF-8 and without a content coding.")
        return model

    def _unsupported(self, request: Request, detail: str) -> RequestRefused:
        header = "Accept-Patch" if request.method == "PATCH" else "Accept"  # RFC 5789 section 2.2
        return RequestRefused("unsupported-media-type", detail, headers={header: ", ".join(self._models)})


def _is_coded(request: Request) -> bool:
    lines = field_lines(request.scope, b"content-encoding")
    # Several lines of one field are one list (RFC 9110 section 5.3).
    return any(coding.strip().lower() not in ("", "identity") for line in lines for coding in line.split(","))


# Clients send few different ones; those of one that plays with them are forgotten.
@lru_cache(maxsize=64)
def _content_type(field_value: str) -> tuple[str, str | None]:
    """The media type and the charset."""
    sent = Message()
    sent["Content-Type"] = field_value
    try:
        return sent.get_content_type(), sent.get_content_charset("utf-8")
    except ValueError:
        return "", None  # A parameter that no decoder takes, as one in thousands of parts (RFC 2231).


def strict_json(body: bytes) -> Any:
    """Decode one JSON text (RFC 8259) without what JSON libraries forgive.

    Raises RequestRefused on invalid UTF-8, duplicate member names, NaN and Infinity, lone surrogates,
    numbers of thousands of digits and nesting thousands deep.
    """
    try:
        text = body.decode("utf-8")
        # Few brackets cannot be nested deeply.
        if text.count("[") + text.count("{") > NESTING_LIMIT:
            _check_nesting(text)
        document = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(document, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"it is not UTF-8 at byte {error.start}") from error
    except UnicodeEncodeError as error:
        raise _malformed("a string has a lone surrogate") from error
    except RecursionError as error:
        raise _malformed("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise _malformed("a number has too many digits") from error
    return document


def _check_nesting(text: str) -> None:
    depth = 0
    for mark in _NESTING_MARK.finditer(text):
        match mark[0][0]:
            case "[" | "{":
                depth += 1
                if depth > NESTING_LIMIT:
                    raise _malformed(f"it is nested more than {NESTING_LIMIT} deep")
            case "]" | "}":
                depth -= 1


def _too_large() -> RequestRefused:
    return RequestRefused("body-too-large", f"A body has at most {BODY_LIMIT:,} bytes.", size=None, limit=BODY_LIMIT)


def _malformed(fault: str) -> RequestRefused:
    return RequestRefused("malformed-request", f"The body cannot be read as JSON: {fault}.")


def _unique_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    if len(unique) < len(members):
        raise _malformed("an object names a member twice")
    return unique


def _no_constant(constant: str) -> Any:
    raise _malformed(f"{constant} is not a JSON number")


def _exact_number(text: str) -> Decimal:
    # A float would take 9007199254740993.0 for 9007199254740992.
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _malformed("a number has too large an exponent") from None


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_float=_exact_number, parse_constant=_no_constant)


def _faults(error: ValidationError) -> list[dict[str, str]]:
    faults = error.errors(include_url=False, include_input=False)
    return [
        {
            "pointer": "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in fault["loc"]),
            "detail": fault_detail(fault),
        }
        for fault in faults[:FAULTS_LISTED]
    ]
