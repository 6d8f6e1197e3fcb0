"""A network between a program and DynamoDB, with what networks and replicas do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Proxy(ThreadingHTTPServer):
    """Forwards every request, and does what it is told to besides."""

    daemon_threads = True

    def __init__(self, dynamodb_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dynamodb_url = dynamodb_url
        self.url = f"http://127.0.0.1:{self.server_port}"
        # Lose the answer to the next PutItem.
        self.loses_next_answer = False
        # Answer reads without ConsistentRead from a replica that has not got the last write yet.
        self.has_lagging_replica = False
        self.last_read = b""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        try:
            answer = urlopen(Request(self.server.dynamodb_url, content, dict(self.headers)))
        except HTTPError as error:
            answer = error
        body = answer.read()
        if operation == "PutItem" and self.server.loses_next_answer:
            self.server.loses_next_answer = False
            self.close_connection = True
            return
        if operation == "GetItem" and self.server.has_lagging_replica and not json.loads(content).get("ConsistentRead"):
            body, self.server.last_read = self.server.last_read or body, body
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def proxy_to(dynamodb_url: str) -> Iterator[Proxy]:
    with Proxy(dynamodb_url) as proxy:
        Thread(target=proxy.serve_forever).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
