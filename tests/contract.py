"""Holds every answer of the service against its OpenAPI document."""

import re
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

_NEVER_DECLARED = {"content-length", "content-type", "date", "connection"}


class Contract:
    """An httpx2 response hook: an answer that the document does not declare fails the test."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = {
            re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))): operations
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
        if "content" in declared:
            media_type = response.headers["content-type"]
            schema = declared["content"][media_type]["schema"]
            Draft202012Validator({**schema, "components": self._document["components"]}).validate(response.json())
        else:
            assert not response.content

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
