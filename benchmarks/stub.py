"""The stub of DynamoDB that services are measured on (engine/), held to what it promises before it is used."""

import itertools
import json
import os
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError

from app.store.embedded import free_port
from app.store.items import NO_SUCH_ITEM, PLAYLIST_SORT_KEY, Condition
from benchmarks.processes import BenchmarkFailed, build_go, running
from tests.writers import Item

TABLE = "music_items"

Answer = dict[str, Any]


class Stub:
    """A DynamoDB with one table, in memory. `authority` is the file that its TLS is verified with."""

    def __init__(self, side_door: str, endpoint_url: str, authority: Path | None) -> None:
        self.endpoint_url = endpoint_url
        self.authority = authority
        self._side_door = side_door
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._numbers = itertools.count()

    def seed(self, *, playlists: int, tracks: int, contended: bool = False, plain: bool = False) -> str:
        """Put these playlists alone into the table; returns what their tokens begin with, before 0, 1 and so on.

        Nobody has seen these tokens before. Before every conditional write of a `contended` playlist a rival
        writes it. `plain` items lack the attributes that only the service writes.
        """
        prefix = f"{'CONTENDED' if contended else 'PLAYLIST'}_{next(self._numbers)}_"
        seed = {"Prefix": prefix, "Playlists": playlists, "Tracks": tracks, "Service": not plain}
        self._ask("PUT", "/seed", seed)
        return prefix

    def writes_applied(self) -> int:
        """The writes of clients since it was seeded."""
        return int(self._ask("GET", "/writes"))

    def get_item(self, token: str) -> Item | None:
        key = {"partition_key": {"S": token}, "sort_key": {"S": PLAYLIST_SORT_KEY}}
        item: Item | None = self._call("GetItem", {"Key": key, "ConsistentRead": True}).get("Item")
        return item

    def put_item(self, item: Item, condition: Condition) -> tuple[str, Item | None]:
        """The type of the error, empty if it was written, and the item that was in the way."""
        answer = self._call(
            "PutItem",
            {
                "Item": item,
                "ConditionExpression": condition.expression,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                **({"ExpressionAttributeValues": condition.values} if condition.values else {}),
            },
        )
        return answer.get("__type", "").rpartition("#")[2], answer.get("Item")

    def _call(self, operation: str, parameters: Answer) -> Answer:
        target = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        parameters = {"TableName": TABLE, "ReturnConsumedCapacity": "TOTAL", **parameters}
        answer: Answer = json.loads(self._ask("POST", "/", parameters, target))
        return answer

    def _ask(self, method: str, path: str, body: Answer | None = None, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310
            self._side_door + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers=headers or {},
        )
        try:
            answer = self._opener.open(request, timeout=30)
        except HTTPError as error:
            answer = error
        with answer:
            content: bytes = answer.read()
            checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and checksum != str(zlib.crc32(content)):
            raise BenchmarkFailed("the stub's checksum is wrong")
        return content


@contextmanager
def running_stub(*, tls: bool = False) -> Iterator[Stub]:
    """Run the stub for as long as the block lasts. Raises BenchmarkFailed if it does not do what it promises."""
    program = build_go(".", "./engine", "engine")
    with TemporaryDirectory() as folder:
        port, tls_port, authority = free_port(), free_port(), Path(folder) / "authority.pem"
        command: list[str | Path] = [program, "-address", f"127.0.0.1:{port}"]
        if tls:
            command += ["-tls-address", f"127.0.0.1:{tls_port}", "-ca", authority]
        with running(command, port=tls_port if tls else port, environment=os.environ):
            side_door = f"http://127.0.0.1:{port}"
            stub = (
                Stub(side_door, f"https://127.0.0.1:{tls_port}", authority) if tls else Stub(side_door, side_door, None)
            )
            _check(stub)
            yield stub


def _check(stub: Stub) -> None:
    prefix = stub.seed(playlists=2, tracks=3)
    read = stub.get_item(f"{prefix}1")
    _expect(read is not None and len(read["track_tokens"]["L"]) == 3 and not stub.get_item(f"{prefix}2"), "seed")
    assert read is not None
    changed = _renamed(read)
    refused = ("ConditionalCheckFailedException", read)
    other_values: Any = {":read_version": {"N": "99"}}
    other_version = Condition("playlist_version = :read_version", other_values)
    other_write = _unchanged_since(read | {"recent_writes": {"L": [{"S": "another"}]}})
    _expect(stub.put_item(changed, other_version) == refused, "refuse a write at another version")
    _expect(stub.put_item(changed, other_write) == refused, "refuse a write after another of that version")
    _expect(stub.put_item(changed, NO_SUCH_ITEM) == refused, "refuse to make what is there")
    _expect(
        stub.put_item(changed, Condition("size(x) > :y"))[0] == "ValidationException", "refuse what it does not know"
    )
    _expect((stub.get_item(f"{prefix}1"), stub.writes_applied()) == (read, 0), "leave what it refused to write")
    _expect(stub.put_item(changed, _unchanged_since(read)) == ("", None), "accept a condition that holds")
    _expect((stub.get_item(f"{prefix}1"), stub.writes_applied()) == (changed, 1), "write what it accepted")
    new = changed | {"partition_key": {"S": "new"}}
    _expect(stub.put_item(new, NO_SUCH_ITEM) == ("", None) and stub.get_item("new") == new, "make what is not there")

    token = stub.seed(playlists=1, tracks=3, contended=True) + "0"
    for _ in range(2):
        read = stub.get_item(token)
        assert read is not None
        code, rival = stub.put_item(_renamed(read), _unchanged_since(read))
        _expect(code == refused[0] and rival is not None and rival == stub.get_item(token), "let a rival write first")
        assert rival is not None
        _expect(rival["playlist_version"] == _renamed(read)["playlist_version"], "raise the version by a rival's write")
        _expect(rival["recent_writes"]["L"][1] == read["recent_writes"]["L"][0], "add a rival's write to the window")
    _expect(stub.writes_applied() == 0, "count the writes of clients alone")


def _renamed(item: Item) -> Item:
    version = int(item["playlist_version"]["N"]) + 1
    recent_writes = {"L": [{"S": "mine"}, *item["recent_writes"]["L"][:-1]]}
    return item | {
        "playlist_name": {"S": "Mine"},
        "playlist_version": {"N": str(version)},
        "recent_writes": recent_writes,
    }


def _unchanged_since(item: Item) -> Condition:
    values: Any = {":read_version": item["playlist_version"], ":read_write": item["recent_writes"]["L"][0]}
    return Condition("playlist_version = :read_version AND recent_writes[0] = :read_write", values)


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise BenchmarkFailed(f"the stub of DynamoDB does not {what}")
