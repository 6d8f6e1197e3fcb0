"""The logs and traces of the service as it runs in production."""

import asyncio
import io
import json
import logging
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.logs import JsonFormatter, JsonLines, Line, json_lines
from app.store.playlists import PlaylistRepository
from tests.servers import running_playlists, without


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_line_of_a_service_is_a_json_object(playlists: PlaylistRepository, table_name: str, workers: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)
    with running_playlists("serve", "--workers", workers, environment=environment) as served:
        httpx2.get(f"{served.url}/playlists/p1", headers={"X-Request-ID": "r1"})
        httpx2.request("GET", f"{served.url}/playlists/%0d%0a%1b[31m{'x' * 9}", headers={"X-Request-ID": "r 2"})
        lines = lines_of(served.stop())

    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert not any("\x1b" in json.dumps(line, ensure_ascii=False) for line in lines)
    asked = [line for line in lines if line["logger"] == "app.access" and line["status"] == 404]
    assert [line["request_id"] == "r1" for line in asked] == [True, False]
    assert asked[0].items() >= {"method": "GET", "problem": "playlist-not-found", "dynamodb_calls": 1}.items()


@pytest.mark.parametrize("text", ["plain", 'a "quoted"\n\x1b[31m\x7f\u2028 line', "Café 🎧", "\ud83c", "\0"], ids=ascii)
def test_a_record_is_one_line_of_ascii_whatever_it_says(text: str) -> None:
    record = logging.makeLogRecord({"name": "app.x", "levelname": "INFO", "msg": "%s", "args": (text,), "member": text})

    line = JsonFormatter().format(record)

    assert line.isascii()
    assert len(line.splitlines()) == 1
    told = json.loads(line)
    assert list(told) == ["level", "logger", "message", "member", "time"]
    assert told["message"] == told["member"] == text


def test_a_record_tells_its_error_and_what_is_no_json() -> None:
    try:
        raise ValueError("Café")
    except ValueError:
        record = logging.makeLogRecord({"exc_info": sys.exc_info(), "seconds": float("nan"), "kinds": {int}})

    told = json.loads(JsonFormatter().format(record))

    assert told["exc_info"].startswith("Traceback")
    assert told["exc_info"].endswith("ValueError: Café")


@contextmanager
def running_collector() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP collector over HTTP; yields its URL and the spans that it gets."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()


def test_traces_go_to_the_collector_that_the_standard_variables_name(
    playlists: PlaylistRepository, table_name: str
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with running_collector() as (collector_url, spans):
        environment = without(PLAYLISTS_TABLE_NAME=table_name, OTEL_EXPORTER_OTLP_ENDPOINT=collector_url)
        with running_playlists("serve", environment=environment) as served:
            httpx2.get(f"{served.url}/playlists/p1", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
            lines = lines_of(served.stop())

    traced = [span for span in spans if span.trace_id.hex() == trace_id]
    request, call = sorted(traced, key=lambda span: span.start_time_unix_nano)
    assert request.name == "GET /playlists/{playlist_token}"
    assert call.name == "DynamoDB.GetItem"
    assert call.parent_span_id == request.span_id
    [line] = [line for line in lines if line.get("trace_id") == trace_id]
    assert line["route"] == "/playlists/{playlist_token}"


def test_nothing_is_traced_where_no_collector_is_named(playlists: PlaylistRepository, table_name: str) -> None:
    with running_playlists("serve", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        httpx2.get(f"{served.url}/playlists/p1")
        lines = lines_of(served.stop())

    assert not any("trace_id" in line for line in lines)


class Told(Line):
    time: str


async def test_request_line_that_cannot_be_written_is_no_failure_of_the_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    lines.setFormatter(JsonFormatter())
    stream.close()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    lines.tell(lambda time: Told("INFO", "app.access", "GET", time))
    await asyncio.sleep(0.1)
    asyncio.get_running_loop().set_exception_handler(None)

    assert failures == []


async def test_request_lines_of_a_moment_are_written_at_once_and_in_order() -> None:
    written: list[str] = []
    stream = Mock(write=written.append)
    lines = JsonLines(stream)
    lines.setFormatter(JsonFormatter())

    def tell(message: str) -> None:
        lines.tell(lambda time: Told("INFO", "app.access", message, time))

    tell("one")
    tell("two")
    lines.handle(logging.makeLogRecord({"msg": "three"}))
    tell("four")
    await asyncio.sleep(0.1)
    tell("five")
    logging.shutdown([weakref.ref(lines)])

    assert [[json.loads(line)["message"] for line in text.splitlines()] for text in written] == [
        ["one", "two"],
        ["three"],
        ["four"],
        ["five"],
    ]


async def test_request_line_that_logs_while_it_is_made_loses_no_other() -> None:
    written: list[str] = []
    lines = JsonLines(Mock(write=written.append))
    lines.setFormatter(JsonFormatter())

    def logging_line(time: str) -> Told:
        lines.handle(logging.makeLogRecord({"msg": "within"}))
        return Told("INFO", "app.access", "one", time)

    lines.tell(logging_line)
    lines.tell(lambda time: Told("INFO", "app.access", "two", time))
    await asyncio.sleep(0.1)

    told = [json.loads(line)["message"] for text in written for line in text.splitlines()]
    assert sorted(told) == ["one", "two", "within"]


def test_request_lines_go_past_logging_only_where_nobody_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, logger = JsonLines(io.StringIO()), logging.getLogger("app.access")
    monkeypatch.setattr(logger.root, "handlers", [lines])
    assert json_lines(logger) is lines

    monkeypatch.setattr(logging.getLogger("app"), "handlers", [logging.NullHandler()])
    assert json_lines(logger) is None
    monkeypatch.undo()

    monkeypatch.setattr(logger.root, "handlers", [lines])
    lines.setLevel(logging.WARNING)
    assert json_lines(logger) is None
