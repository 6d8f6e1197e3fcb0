"""OpenTelemetry traces of requests and of the calls to DynamoDB, where OTEL_* variables name a collector."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.telemetry import TelemetryConfig

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_wanted() -> bool:
    """Whether the standard variables say where traces go to.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    return (
        any(os.environ.get(name) for name in _ENDPOINTS)
        and os.environ.get("OTEL_TRACES_EXPORTER") != "none"
        and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
    )


def of_requests() -> TelemetryConfig:
    """FastAPI's own tracing: a span a request, by its route template, exported as the variables say."""
    wanted = is_wanted()
    return {"tracing": wanted, "auto_configure": wanted, "operation_spans": False, "metrics": False, "logs": False}


@contextmanager
def of_calls() -> Iterator[None]:
    """A span a call to DynamoDB, with its table and the capacity it took, for clients opened in the block."""
    if not is_wanted():
        yield
        return
    # Loaded only here: it takes a tenth of a second.
    from opentelemetry.instrumentation.aiobotocore import AioBotocoreInstrumentor

    instrumentor = AioBotocoreInstrumentor()
    instrumentor.instrument()
    try:
        yield
    finally:
        instrumentor.uninstrument()
