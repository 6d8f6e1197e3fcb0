"""The form of the logs: JSON, one object a line, or plain text for people at a terminal."""

import logging
from typing import Any

_LEVELS = {"uvicorn": "INFO", "app": "INFO"}


def logging_configuration(*, readable: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`, all of it to the standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "readable": {"format": "%(asctime)s %(levelname)s %(message)s", "datefmt": "%H:%M:%S"},
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["levelname", "name", "message"],
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": "time",
                # uvicorn's copy of the message with the codes of colours.
                "reserved_attrs": [*logging.makeLogRecord({}).__dict__, "message", "color_message", "taskName"],
            },
        },
        "handlers": {
            "output": {
                "class": "logging.StreamHandler",
                "formatter": "readable" if readable else "json",
                "stream": "ext://sys.stdout",
            }
        },
        "loggers": {name: {"level": level} for name, level in _LEVELS.items()},
        "root": {"level": "WARNING", "handlers": ["output"]},
    }
