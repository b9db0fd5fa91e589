"""docs/reference/log-events.md: every event that the server and the agent write into their logs.

Level and fields are read from the calls in the source, without importing it. Meaning and remedy are in log_meanings.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from docs.drawing.log_meanings import AGENT, EXTRA_FIELDS, SERVER, Meaning
from docs.drawing.markdown import DRAWN, table

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
LOGGER = re.compile(r"(^|\.)_?(log|logger)$|get_?logger\(|logs\.logger\(", re.IGNORECASE)
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NOTE = "Note"
"""The effect of the agent's engine that writes a log event at level warning."""
NOT_CALLS = ("agent/log.py", "server/ops/logs.py")
"""They make the loggers, and pass events on."""


@dataclass(frozen=True)
class LogCall:
    """One place that writes an event."""

    file: str
    line: int
    level: str
    event: str | None
    """None if the name is not a literal."""
    fields: tuple[str, ...]


@dataclass
class LogEvent:
    """Levels and fields of one event, over all its calls."""

    levels: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)


def calls(room: str) -> Iterator[LogCall]:
    """Every call of a logger in the files of a package."""
    for path in sorted((ROOT / room).rglob("*.py")):
        file = str(path.relative_to(ROOT))
        if file in NOT_CALLS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (level := _level(node)):
                event = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                yield LogCall(file, node.lineno, level, event if isinstance(event, str) else None, _fields(node))


def events(room: str) -> dict[str, LogEvent]:
    """The events of a package by name."""
    found: dict[str, LogEvent] = {}
    for call in calls(room):
        if call.event is not None:
            event = found.setdefault(call.event, LogEvent())
            event.levels += [call.level] if call.level not in event.levels else []
            event.fields += [name for name in call.fields if name not in event.fields]
    return dict(sorted(found.items()))


def log_events() -> str:
    return f"""# Log events

{DRAWN}
The server and the agent write one JSON object per line to standard error. A server on a terminal writes plain lines.
`event` is the name of what happened. Names and fields
do not change within a major version, so filter and alert on them and not on texts in fields such as `message`,
`error`, `detail`, `why` or `remedy`.

Every line of the server has `timestamp` (ISO 8601, UTC), `level`, `logger` and `event`. Every line of the agent has
`at_ms` (milliseconds since 1970), `level` and `event`.
Lines with a failure of the program have its traceback in `exception`. Libraries write lines too: their `event` is a
text, and their `logger` does not start with `server`.
`log.level` sets the lowest level that the server writes. Secrets are replaced by `[redacted]`.

## Server

{_page("server", SERVER)}
## Agent

{_page("agent", AGENT)}"""


def _page(room: str, meanings: dict[str, Meaning]) -> str:
    missing = sorted(set(events(room)) - set(meanings))
    if missing:
        raise LookupError(f"explain these log events of {room} in docs/drawing/log_meanings.py: {', '.join(missing)}")
    rows = [
        (
            f"`{name}`",
            ", ".join(event.levels),
            ", ".join(f"`{one}`" for one in event.fields),
            meanings[name].meaning,
            meanings[name].remedy or "nothing",
        )
        for name, event in events(room).items()
    ]
    return table(("event", "level", "fields", "what it means", "what to do"), rows)


def _level(node: ast.Call) -> str:
    """The level of a call if it writes an event, or an empty text."""
    called = node.func
    if isinstance(called, ast.Attribute) and called.attr in LEVELS and LOGGER.search(ast.unparse(called.value)):
        return "error" if called.attr == "exception" else called.attr
    return "warning" if _last_name(called) == NOTE else ""


def _fields(node: ast.Call) -> tuple[str, ...]:
    if _last_name(node.func) == NOTE:
        return EXTRA_FIELDS[NOTE]
    names: list[str] = []
    for keyword in node.keywords:
        if keyword.arg is None:
            names += _unpacked(keyword.value)
        else:
            names.append("exception" if keyword.arg == "exc_info" else keyword.arg)
    return tuple(names)


def _unpacked(value: ast.expr) -> Iterator[str]:
    """The fields that `**value` gives: the keys of a literal, otherwise those that EXTRA_FIELDS says."""
    if isinstance(value, ast.Dict):
        yield from (key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    elif isinstance(value, ast.IfExp):
        yield from _unpacked(value.body)
        yield from _unpacked(value.orelse)
    else:
        yield from EXTRA_FIELDS[_last_name(value.func if isinstance(value, ast.Call) else value)]


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]
