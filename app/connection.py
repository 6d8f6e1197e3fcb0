"""A client's connection: uvicorn's, with bounds on what a client may send, withhold, and leave unread."""

import asyncio
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api.bodies import CONTENT
from app.api.problem_types import PROBLEM_TYPES
from app.api.problems import KNOWN_METHODS, MEDIA_TYPE, NOT_STORED, problem_content
from app.api.request_id import HEADER as REQUEST_ID_HEADER
from app.drain import Drain

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


# RFC 9110 section 7.2, RFC 3986 section 3.2.2: a name, an IPv4 address or one in brackets, and a port.
_HOST = re.compile(
    rb"(?:\[(?:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|v[0-9A-Fa-f]+\.[0-9A-Za-z.~!$&'()*+,;=:_-]+)\]"
    rb"|(?:[0-9A-Za-z.~!$&'()*+,;=_-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
)
# RFC 9112 section 3: a request line, whatever its method.
_REQUEST_LINE = re.compile(rb"([0-9A-Za-z!#$%&'*+.^_`|~-]+) [^ \r\n]+ HTTP/1\.[01]\r?")
_TOKEN = re.compile(rb"[0-9A-Za-z!#$%&'*+.^_`|~-]+(?: |$)")
# What the parser says of a method that it does not know, or takes for one of another protocol.
_METHOD_ERRORS = ("Invalid method", "Expected space after method", "Expected HTTP/2 Connection Preface")


class Connection(HttpToolsProtocol):
    """Serves one client's requests in turn.

    What is no HTTP request is answered with problem details, and nothing after it is looked at. While
    an earlier request is served no such answer is given, because the client would take it for that
    request's: the connection closes after the answers that are due.
    """

    head_limit = 64 * 1024  # Bytes of request line and headers.
    line_limit = 8 * 1024  # Bytes of a request line whose method is not known.
    header_limit = 100  # Headers of a request.
    message_limit = 8 * 1024 * 1024  # Bytes of a request: a body of 1 MiB, in chunks of one byte each.
    pipeline_limit = 100  # Requests that wait for the one that is served.
    head_seconds = 10.0  # From the connection, or the first byte, to the end of the headers.
    unread_seconds = 30.0  # How long the client may leave an answer unread.
    last_request_seconds = 1.0  # What is left of a connection without a request when the process ends.
    linger_seconds = 1.0  # How long a refused client has to read why.
    watch_seconds = 1.0  # How often the times are looked at.

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._refused = False
        self._is_last = False
        self._in_head = False
        self._in_body = False
        self._line = b""
        self._awaits_line = self._is_pipelined = False
        self._received = 0
        self._waiting_since = self._unread_since = self._idle_since = math.inf
        self._watch: asyncio.TimerHandle | None = None

    @property
    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answers = _OneWrite(transport, self.loop)
        self.transport = self._answers  # type: ignore[assignment]
        self._waiting_since = self.loop.time()
        self._watch = self.loop.call_later(self.watch_seconds, self._look_at_times)

    def eof_received(self) -> None:
        # The transport closes itself after this, and what it has been given is sent.
        self._answers.send_held()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._idle_since = math.inf
        self._received += len(data)
        if not self._in_head:
            self._line = data
        elif len(self._line) < self.line_limit:
            self._line += data
        if self._awaits_line:
            if b"\n" in data or len(self._line) >= self.line_limit:
                self._refuse(self._refusal_of_line())
            return
        self._is_pipelined = False
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_offer() + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                # What a callback raised is in the context of the parser's error.
                cause = error.__context__
                if not str(error).startswith(_METHOD_ERRORS):
                    self._refuse(cause if isinstance(cause, _Refusal) else _MALFORMED)
                elif b"\n" in self._line.lstrip(b"\r\n") or not _TOKEN.match(self._line):
                    self._refuse(self._refusal_of_line())
                else:
                    # Its first line is yet to end; until then it has the time of a request's head.
                    self._awaits_line = self._in_head = True
                    self._waiting_since = min(self._waiting_since, self.loop.time())
                return
        if self._in_head and self._received > self.head_limit:
            self._refuse(self._head_too_large())
        elif self._in_body and self._received > self.message_limit:
            self._refuse(_Refusal("malformed-request", f"The request is over {self.message_limit:,} bytes."))
        elif not self._is_serving and self._waiting_since == self._idle_since == math.inf:
            self._waiting_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._idle_since = math.inf
        self._received = 0  # What came with the first byte is not counted: most of it may be the request before.

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailer fields are no headers (RFC 9110 section 6.5.1).
        if self._in_head:
            # White space after a value is not part of it (RFC 9110 section 5.5), and the parser leaves it there.
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1
                if not _HOST.fullmatch(value):
                    raise _Refusal("malformed-request", "The Host header is not a host and an optional port.")
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise _Refusal("malformed-request", "The only transfer coding is chunked.")
        if size > self.head_limit or len(self.headers) > self.header_limit:
            raise self._head_too_large()
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise _Refusal("malformed-request", "A request has one Host header.")  # RFC 9112 section 3.2.
        if len(self.pipeline) >= self.pipeline_limit:
            raise _Refusal("malformed-request", "There are too many requests in the pipeline.")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _Refusal("malformed-request", "This is no proxy.")
            return
        super().on_headers_complete()
        self._in_head, self._in_body, self._line = False, True, b""
        self._waiting_since = math.inf
        if self._closes_after_answers():
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # As there, but that a timer for each answer takes longer than to look at the time now and then.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        # Clients are many that keep a connection open, and what they sent on it may be large.
        self.cycle.scope.pop(CONTENT, None)  # type: ignore[misc]
        self.cycle.body = bytearray()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()
            self._in_body = False
            self._is_pipelined = True
            self.scope[CONTENT] = self.cycle.body  # type: ignore[literal-required]

    def _head_without_offer(self) -> bytes:
        """The request's head without its offer to upgrade, to be read again.

        There is nothing to upgrade to, so the offer is ignored (RFC 9110 section 7.8). The parser
        takes all after it for another protocol, the request's own body too.
        """
        head = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        head += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*head, b"", b""])

    def shutdown(self) -> None:
        """The process ends: close after the request that is served, or after one that may be on its way."""
        if self._is_serving:
            super().shutdown()
        elif not self._is_last:
            self._is_last = True
            self.loop.call_later(self.last_request_seconds, self._close_unless_used)

    def _close_unless_used(self) -> None:
        if not self._is_serving and not self._in_head:
            self.transport.close()

    def _closes_after_answers(self) -> bool:
        drain: Drain | None = self.app_state.get("drain")
        return self._is_last or (drain is not None and drain.has_begun)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGIApp") -> None:  # type: ignore[override]
        if not self._refuse_at_once(cycle):
            super()._start_asgi_task(cycle, partial(self._serve, cycle, app))

    def _refuse_at_once(self, cycle: RequestResponseCycle) -> bool:
        """Answer a request that the service refuses before it is called, or say that it has to be.

        So it has where there is more to it than to write the answer; and for a client that does not read what it gets,
        or sends several requests at once, which would be answered without end.
        """
        refuse: Callable[[Scope], Response | None] | None = self.app_state.get("refuse_at_once")
        if refuse is None or self.flow.write_paused or self._answers.is_holding:
            return False
        if not cycle.keep_alive or cycle.waiting_for_100_continue or self._closes_after_answers():
            return False
        try:
            response = refuse(cycle.scope)  # type: ignore[arg-type]
        except Exception:
            self.logger.exception("A refusal has failed")
            self.transport.close()
            return True
        if response is None:
            return False
        content = b"" if cycle.scope["method"] == "HEAD" else bytes(response.body)
        self.transport.write(self._message(response.status_code, response.raw_headers, content))
        cycle.response_started = cycle.response_complete = True
        # As uvicorn lets go of it: cycle and connection would keep each other.
        cycle.on_response = lambda: None
        self.on_response_complete()
        return True

    def _serve(
        self, cycle: RequestResponseCycle, app: "ASGIApp", scope: "Scope", receive: "Receive", send: "Send"
    ) -> Awaitable[None]:
        if cycle.waiting_for_100_continue:
            send = partial(self._send_to_expectant, cycle, send)
        return app(scope, partial(self._receive, scope, receive), send)

    async def _send_to_expectant(self, cycle: RequestResponseCycle, send: "Send", message: "Message") -> None:
        """Send to a client that waits for a 100 before it sends its body (RFC 9110 section 10.1.1).

        If it is answered before it was asked for the body, it may send that body or not, so the connection cannot
        carry another request.
        """
        if cycle.waiting_for_100_continue and CONTENT not in cycle.scope:
            cycle.keep_alive = False
        await send(message)

    async def _receive(self, scope: "Scope", receive: "Receive") -> "Message":
        message = await receive()
        is_broken = self._refused and self._in_body and scope is self.scope
        return {"type": "http.disconnect"} if is_broken else message

    def _refuse(self, refusal: "_Refusal") -> None:
        self._refused = True
        self.flow.resume_reading()
        if self._is_serving:
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
            return
        if not self._in_body:  # Else it has its answer.
            self.transport.write(self._answer(refusal))
        # Closed with input unread, the connection would be reset, and the answer be lost (RFC 9112 section 9.6).
        self.transport.write_eof()
        self.loop.call_later(self.linger_seconds, self.transport.close)

    def _refusal_of_line(self) -> "_Refusal":
        """Why a request is refused whose method the parser does not know."""
        lines = self._line.lstrip(b"\r\n").split(b"\n")
        # After a request that came with it, which of the lines it begins with is not known.
        matches = map(_REQUEST_LINE.fullmatch, lines if self._is_pipelined else lines[:1])
        methods = [match[1].decode() for match in matches if match]
        unknown = [method for method in methods if method not in KNOWN_METHODS]
        if not unknown:
            return _MALFORMED
        detail = f"{unknown[0][:40]} is not a method that this service implements."
        return _Refusal("method-not-implemented", detail)

    def _answer(self, refusal: "_Refusal") -> bytes:
        identifier = secrets.token_hex(16)
        content = problem_content(refusal.code, refusal.detail, instance="", request_id=identifier)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(content)),
            (REQUEST_ID_HEADER.lower().encode(), identifier.encode()),
            NOT_STORED,
            (b"connection", b"close"),
        ]
        self.logger.info("request %s refused: %s", identifier, refusal.detail)
        return self._message(PROBLEM_TYPES[refusal.code].status, headers, content)

    def _message(self, status: int, headers: Iterable[tuple[bytes, bytes]], content: bytes) -> bytes:
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        return b"".join([STATUS_LINE[status], *lines, b"\r\n", content])

    def _head_too_large(self) -> "_Refusal":
        detail = f"Request line and headers have at most {self.head_limit:,} bytes and {self.header_limit} headers."
        return _Refusal("headers-too-large", detail)

    def _look_at_times(self) -> None:
        self._watch = self.loop.call_later(self.watch_seconds, self._look_at_times)
        now = self.loop.time()
        if self.transport.get_write_buffer_size() == 0:
            self._unread_since = math.inf
        elif self._unread_since == math.inf:
            self._unread_since = now
        if now - self._unread_since > self.unread_seconds:
            self.transport.abort()
        elif now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()
        elif now - self._waiting_since > self.head_seconds and not self._refused:
            if self._in_head:
                detail = f"The headers did not arrive within {self.head_seconds:g} seconds."
                self._refuse(_Refusal("request-timeout", detail))
            else:
                self.transport.close()


class _OneWrite:
    """A transport that sends what is written in one turn of the loop in one system call.

    uvicorn writes the head of an answer and its content one after the other; each call costs about a
    twentieth of a request.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def write(self, data: bytes) -> None:
        if not data:
            return
        if not self._held:
            self._loop.call_soon(self.send_held)
        self._held.append(data)

    def write_eof(self) -> None:
        self.send_held()
        self._transport.write_eof()

    def close(self) -> None:
        self.send_held()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send_held(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))


class _Refusal(Exception):
    """Why nothing more is taken from a client: the code and the detail of the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


_MALFORMED = _Refusal("malformed-request", "What was sent is not an HTTP request.")
