"""The form of the logs: JSON, one object a line, or plain text for people at a terminal."""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, TypeAlias

import msgspec

from app.domain.times import date_and_time

_LEVELS = {"uvicorn": "INFO", "app": "INFO"}
# How long a line waits for others at most.
_HELD_SECONDS = 0.02
# What every record has; `color_message` is uvicorn's copy of the message with the codes of colours.
_NO_MEMBERS = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message"))


class Line(msgspec.Struct):
    """How a line of the log begins; kinds of lines add what they tell, and `time` as their last member."""

    level: str
    logger: str
    message: str


# Makes the line, given its time (in UTC).
Description: TypeAlias = Callable[[str], Line]


def _in_utc(seconds: float) -> str:
    """A time, given in seconds since 1970, to the microsecond."""
    second = int(seconds)
    return f"{date_and_time(second)}.{int((seconds - second) * 1e6):06}+00:00"


class JsonFormatter(logging.Formatter):
    """A record as a JSON object in ASCII: level, logger, message, the members of `extra`, and its time in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, Any] = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            members["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            members["stack_info"] = record.stack_info
        members |= {name: value for name, value in record.__dict__.items() if name not in _NO_MEMBERS}
        return _as_json(members | {"time": _in_utc(record.created)})


_ENCODER = msgspec.json.Encoder(enc_hook=str)


def _as_json(members: Line | Mapping[str, Any]) -> str:
    try:
        return _ENCODER.encode(members).decode("ascii")
    except ValueError:
        # What is not ASCII, or a lone surrogate, is escaped: the output may be of any encoding.
        return json.dumps(msgspec.to_builtins(members, enc_hook=str))


def _as_json_lines(lines: Sequence[Line]) -> str:
    try:
        return _ENCODER.encode_lines(lines).decode("ascii")
    except ValueError:
        return "".join([f"{_as_json(line)}\n" for line in lines])


class JsonLines(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records as JSON, and what is told as often as there are requests without making a record of it."""

    def __init__(self, stream: Any = None) -> None:
        super().__init__(stream)
        # Appended to without the lock: by the event loop's thread alone, and what is left has a timer to come. Records
        # come from any thread, and take what was told before them with them.
        self._told: deque[tuple[Description, float]] = deque()

    def tell(self, describe: Description) -> None:
        """Write a line a moment later, with the others that are told until then.

        In a row they take less of the time that requests wait for than one by one between them. A process that is
        killed takes them with it.
        """
        self._told.append((describe, time.time()))
        if len(self._told) == 1:
            asyncio.get_running_loop().call_later(_HELD_SECONDS, self._write_told)

    def emit(self, record: logging.LogRecord) -> None:
        self._write_told()
        super().emit(record)

    def flush(self) -> None:
        self._write_told()
        super().flush()

    def _write_told(self) -> None:
        if not self._told:
            return
        try:
            with self.lock or nullcontext():
                lines: list[Line] = []
                while self._told:
                    describe, at = self._told.popleft()
                    lines.append(describe(_in_utc(at)))
                self.stream.write(_as_json_lines(lines))
                self.stream.flush()
        except Exception:
            # As `emit` does: who has no place to log to serves all the same.
            self.handleError(logging.makeLogRecord({"msg": "lines of requests"}))


def json_lines(logger: logging.Logger) -> JsonLines | None:
    """Where all that a logger is told goes to, if that is written as JSON and nobody else is told."""
    handlers: list[logging.Handler] = []
    told: logging.Logger | None = logger
    while told is not None:
        if told.filters or not told.propagate:
            return None
        handlers += told.handlers
        told = told.parent
    if len(handlers) != 1 or not isinstance(handlers[0], JsonLines) or handlers[0].filters or handlers[0].level:
        return None
    return handlers[0]


def _json_formatter() -> JsonFormatter:
    # No line tells where it was logged, by which thread and process: it need not be found out.
    # https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return JsonFormatter()


def logging_configuration(*, readable: bool, stream: Literal["stdout", "stderr"] = "stdout") -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`, all of it to one stream."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "readable": {"format": "%(asctime)s %(levelname)s %(message)s", "datefmt": "%H:%M:%S"},
            "json": {"()": _json_formatter},
        },
        "handlers": {
            "output": {
                "()": logging.StreamHandler if readable else JsonLines,
                "formatter": "readable" if readable else "json",
                "stream": f"ext://sys.{stream}",
            }
        },
        "loggers": {name: {"level": level} for name, level in _LEVELS.items()},
        "root": {"level": "WARNING", "handlers": ["output"]},
    }
