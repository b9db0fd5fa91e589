"""The server's log on standard error: one JSON object per line, or plain lines on a terminal. Tokens are removed."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, BinaryIO, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from proto.readable import HIDDEN
from server.security.tokens import PATTERN, Kind

REDACTED = "[redacted]"
_SECRET_KEY = re.compile(r"(?i)(^|[_.-])(token|secret|password|passwd|authorization|cookie|api[_-]?key)s?$")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;\\]{8,}")
_DEPTH = 6
_TOKEN_STARTS = tuple(f"{kind}_" for kind in Kind)
_NOISY = ("h2", "hpack", "hypercorn.access", "trio_asyncio", "asyncio")
"""Libraries that log every frame or request at debug or info."""


def configure(level: str, stream: TextIO | None = None, *, terminal: bool | None = None) -> None:
    """Write all lines from `level` (debug, info, warning, error) to `stream`, by default standard error.

    Records of the standard library's loggers are written there too. May be called again with another level.
    """
    out = sys.stderr if stream is None else stream
    plain = out.isatty() if terminal is None else terminal
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _named,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, _Console() if plain else render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Lines(out),
        cache_logger_on_first_use=False,
    )
    _stdlib(number, out, shared, plain)


def logger(name: str) -> Any:
    """Return a logger whose lines have `logger: name`. May be called before `configure`."""
    return structlog.get_logger(name)


def _named(lines: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    name = getattr(lines, "name", None)
    if name is not None:
        event["logger"] = name
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values whose key names a secret, and tokens inside any text."""
    return {scrub(key): REDACTED if _names_secret(key) else _clean(value, _DEPTH) for key, value in event.items()}


@lru_cache(1024)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes):
        return scrub(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        if not depth:
            return "…"
        return {
            scrub(str(key)): REDACTED if _names_secret(str(key)) else _clean(inner, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth - 1) for inner in value] if depth else "…"
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(str(value) if isinstance(value, BaseException) else repr(value))


def scrub(text: str) -> str:
    """Remove tokens from a text. Their public ids stay, so that the log shows which token it was."""
    if "_" in text and any(start in text for start in _TOKEN_STARTS):
        text = PATTERN.sub(rf"\1_\2_{REDACTED}", text)
    if " " in text and ("bearer" in (lowered := text.lower()) or "basic" in lowered):
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return text


def render(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    """Render one JSON object. Values that orjson refuses (lone surrogates, integers beyond 64 bits) use json."""
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return json.dumps(event, default=repr).encode("ascii") + b"\n"


class _Console:
    """Renders lines for a terminal. Control characters are escaped: a host's name must not control the terminal."""

    def __init__(self) -> None:
        self._inner = structlog.dev.ConsoleRenderer()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        safe = {key: _visible(value) if isinstance(value, str) else value for key, value in event.items()}
        line = self._inner(logger, method, safe)
        return line.encode("utf-8", "backslashreplace") + b"\n"


def _visible(text: str) -> str:
    return HIDDEN.sub(lambda match: repr(match[0])[1:-1], text)


class _Lines:
    """Writes complete lines, each in one call, so that lines of two threads never mix."""

    def __init__(self, out: TextIO, name: str | None = None) -> None:
        self._binary: BinaryIO | None = getattr(out, "buffer", None)
        self._text = out
        self.name = name

    def __call__(self, *args: Any) -> _Lines:
        """Act as structlog's logger factory; `args` are those of get_logger."""
        return _Lines(self._text, args[0]) if args else self

    def msg(self, line: bytes) -> None:
        if self._binary is not None:
            self._binary.write(line)
            self._binary.flush()
        else:
            self._text.write(line.decode())
            self._text.flush()

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


class _Bridge(logging.Handler):
    """Sends records of the standard library's loggers through the same processors."""

    def __init__(self, lines: _Lines, processors: list[Processor]) -> None:
        super().__init__()
        self._lines, self._processors = lines, processors

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: MutableMapping[str, Any] = {"event": record.getMessage(), "logger": record.name}
            if record.exc_info and record.exc_info[0] is not None:
                event["exc_info"] = record.exc_info
            line: Any = event
            for processor in self._processors:
                line = processor(None, record.levelname.lower(), line)
            self._lines.msg(line)
        except Exception:
            self.handleError(record)


def _stdlib(number: int, out: TextIO, shared: list[Processor], plain: bool) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge(_Lines(out), [*shared, _Console() if plain else render]))
    root.setLevel(number)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
