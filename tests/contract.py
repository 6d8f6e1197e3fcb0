"""Holds every answer of the service against its OpenAPI document, and remembers what was seen of it.

`make seen` runs the suite and lists what the document declares and no test got: an answer of an operation
by its status and, where it is a problem, its code.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import httpx2
from jsonschema import Draft202012Validator

# An encoded slash is one to the router too.
_SEGMENT = "(?:(?!%2[Ff])[^/])+"
_PROBLEM = "application/problem+json"
_OF_THE_KIND = ("type", "title", "status", "code")
_NOT_ALWAYS = {"changed"}
_NEVER_DECLARED = {"content-length", "content-type", "date", "connection"}


class Contract:
    """An httpx2 response hook: an answer that the document does not declare fails the test."""

    seen: ClassVar[set[str]] = set()

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = {
            re.compile(re.sub(r"\\\{\w+\\\}", _SEGMENT, re.escape(path))): operations
            for path, operations in document["paths"].items()
        }

    async def __call__(self, response: httpx2.Response) -> None:
        await response.aread()
        operation = self._operation(response.request)
        if operation is None:
            return
        declared = operation["responses"].get(str(response.status_code))
        assert declared is not None, f"{operation['operationId']} declares no {response.status_code}: {response.text}"
        self._check_headers(response, declared)
        answer = f"{operation['operationId']} {response.status_code}"
        if "content" not in declared:
            assert not response.content
            self.seen.add(answer)
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in declared["content"], f"{response.status_code} with undeclared media type {media_type}"
        if "json" not in media_type:
            self.seen.add(answer)
            return
        content = declared["content"][media_type]
        body = response.json()
        Draft202012Validator({**content["schema"], "components": self._document["components"]}).validate(body)
        if media_type != _PROBLEM:
            self.seen.add(answer)
            return
        assert body["code"] in content["examples"], f"{response.status_code} with undeclared code {body['code']}"
        example = content["examples"][body["code"]]["value"]
        kind = {name: body[name] for name in _OF_THE_KIND}
        assert kind == {name: example[name] for name in _OF_THE_KIND}, f"the problem says of its kind: {kind}"
        assert set(body) ^ set(example) <= _NOT_ALWAYS, f"not the members of the example: {set(body) ^ set(example)}"
        self.seen.add(f"{answer} {body['code']}")

    def _operation(self, request: httpx2.Request) -> dict[str, Any] | None:
        path = request.url.raw_path.decode().partition("?")[0]
        for pattern, operations in self._paths.items():
            if pattern.fullmatch(path):
                operation: dict[str, Any] | None = operations.get(request.method.lower())
                return operation
        return None

    def _check_headers(self, response: httpx2.Response, declared: dict[str, Any]) -> None:
        names = {name.lower() for name in declared.get("headers", {})} | _NEVER_DECLARED
        undeclared = set(response.headers) - names
        assert not undeclared, f"{response.status_code} with undeclared headers {undeclared}"
        required = {name for name, header in declared.get("headers", {}).items() if header.get("required")}
        missing = {name for name in required if name not in response.headers}
        assert not missing, f"{response.status_code} without the headers {missing}"


def declared_answers(document: dict[str, Any]) -> set[str]:
    """All answers in the document, as `Contract.seen` names them."""
    answers = set()
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        for status, response in operation["responses"].items():
            codes = response.get("content", {}).get(_PROBLEM, {}).get("examples", {})
            answers |= {f"{operation['operationId']} {status} {code}".strip() for code in codes or [""]}
    return answers


def main(document: Path, seen: Path) -> None:
    """Print the answers that are declared and were not seen, and how many there are of each kind."""
    declared = declared_answers(json.loads(document.read_text()))
    unseen = declared - set(seen.read_text().splitlines())
    print(*sorted(unseen), sep="\n")
    print(f"{len(declared)} answers declared, {len(unseen)} of them not seen")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
