"""The operations of the OpenAPI document, and requests made as it declares them."""

import json
from typing import Any

import httpx2

from tests.engines import PROJECT

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "openapi" / "openapi.json").read_text())


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Method, path and declaration by operationId."""
    return {
        operation["operationId"]: (method, path, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


async def send(
    http: httpx2.AsyncClient, operation_id: str, parameters: dict[str, str], content: bytes | None = None
) -> httpx2.Response:
    """Send these parameters, and the first example as the body where there is one and none is given."""
    method, path, operation = operations()[operation_id]
    places = {parameter["name"]: parameter["in"] for parameter in operation.get("parameters", [])}
    headers = {name: value for name, value in parameters.items() if places[name] == "header"}
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        headers.setdefault("Content-Type", media_type)
        content = content or json.dumps(next(iter(body["examples"].values()))["value"]).encode()
    return await http.request(
        method,
        path.format(**{"playlist_token": "PLAYLIST_1", **parameters}),
        params={name: value for name, value in parameters.items() if places[name] == "query"},
        headers=headers,
        content=content,
    )
