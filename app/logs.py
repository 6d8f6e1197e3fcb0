"""The form of the logs: JSON, one object a line, or plain text for people at a terminal."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

_LEVELS = {"uvicorn": "INFO", "app": "INFO"}
# What every record has; `color_message` is uvicorn's copy of the message with the codes of colours.
_NO_MEMBERS = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message"))


class JsonFormatter(logging.Formatter):
    """A record as a JSON object in ASCII: level, logger, message, the members of `extra`, and its time in UTC."""

    _encoder = msgspec.json.Encoder(enc_hook=str)

    def format(self, record: logging.LogRecord) -> str:
        members = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            members["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            members["stack_info"] = record.stack_info
        members |= {name: value for name, value in record.__dict__.items() if name not in _NO_MEMBERS}
        members["time"] = datetime.fromtimestamp(record.created, UTC).isoformat()
        try:
            return self._encoder.encode(members).decode("ascii")
        except ValueError:
            # What is not ASCII, or a lone surrogate, is escaped: the output may be of any encoding.
            return json.dumps(members, default=str)


def _json_formatter() -> JsonFormatter:
    # No line tells where it was logged, by which thread and process: it need not be found out.
    # https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return JsonFormatter()


def logging_configuration(*, readable: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`, all of it to the standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "readable": {"format": "%(asctime)s %(levelname)s %(message)s", "datefmt": "%H:%M:%S"},
            "json": {"()": _json_formatter},
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
