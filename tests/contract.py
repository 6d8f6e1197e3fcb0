"""Holds every answer of the service against its OpenAPI document."""

import re
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

# An encoded slash is one to the router too.
_SEGMENT = "(?:(?!%2[Ff])[^/])+"
_PROBLEM = "application/problem+json"
_NEVER_DECLARED = {"content-length", "content-type", "date", "connection"}


class Contract:
    """An httpx2 response hook: an answer that the document does not declare fails the test."""

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
        if "content" not in declared:
            assert not response.content
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in declared["content"], f"{response.status_code} with undeclared media type {media_type}"
        if "json" not in media_type:
            return
        content = declared["content"][media_type]
        body = response.json()
        Draft202012Validator({**content["schema"], "components": self._document["components"]}).validate(body)
        if media_type == _PROBLEM:
            assert body["code"] in content["examples"], f"{response.status_code} with undeclared code {body['code']}"

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
