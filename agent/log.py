"""The agent's log: one JSON object per line on standard error. It uses the standard library to keep the agent small."""

from __future__ import annotations

import json
import logging
import sys
from typing import IO

import orjson

LEVELS = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    """Formats a record as JSON; the fields of `extra={"data": {...}}` follow time, level and event."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except (TypeError, ValueError):
            # orjson refuses text that is not UTF-8 and numbers beyond 64 bits
            return json.dumps(line, default=str, ensure_ascii=True)


class Log:
    """Structured logger: `log.info("event_name", key=value)`."""

    def __init__(self, name: str = "agent") -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **data: object) -> None:
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(event, extra={"data": data})

    def info(self, event: str, **data: object) -> None:
        self._logger.info(event, extra={"data": data})

    def warning(self, event: str, **data: object) -> None:
        self._logger.warning(event, extra={"data": data})

    def error(self, event: str, **data: object) -> None:
        self._logger.error(event, extra={"data": data})

    def exception(self, event: str, error: BaseException, **data: object) -> None:
        self._logger.error(event, exc_info=error, extra={"data": data})


def configure(level: str, stream: IO[str] | None = None) -> None:
    """Send all log output to `stream` (default standard error), with this level for the agent's own events."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("agent").setLevel(level.upper())
