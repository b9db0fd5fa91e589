"""Describes how an execution or a group of executions ended, with hints and notes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

from proto.words import HOST_OFFLINE, STATES, TASKS
from server.cli.render.text import count, one_line

_PLAIN = ("exit_nonzero", "signaled", "canceled", "canceled_before_start")
"""Reasons that add nothing to word, exit code and signal."""
_NO_HINT = ("exit_nonzero", "canceled", "canceled_before_start")
"""Reasons whose hint does not help a user who sees the output."""


def word(status: object, *, unreachable: bool = False) -> str:
    """Return the word of an execution's status, such as `running (host offline)`. Unknown codes are unchanged."""
    said = STATES.get(str(status))
    text = said.word if said is not None else str(status)
    return f"{text} ({HOST_OFFLINE.word})" if unreachable else text


def task_word(status: object) -> str:
    said = TASKS.get(str(status))
    return said.word if said is not None else str(status)


def signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def outcome(ended: dict[str, Any]) -> str:
    """Return one line such as `failed, exit code 3` or `timed out: the timeout of 1 s was over`."""
    error = ended.get("error") or {}
    code = str(error.get("code") or "")
    parts = [word(ended["status"])]
    if ended.get("exit_code") is not None:
        parts.append(f"exit code {ended['exit_code']}")
    if ended.get("signal") is not None and code in ("signaled", ""):
        parts.append(f"ended by {signal_name(int(ended['signal']))}")
    text = ", ".join(parts)
    if not code or (code in _PLAIN and not (code == "canceled" and error.get("detail"))):
        return text
    message, detail = one_line(str(error.get("message") or "")), one_line(str(error.get("detail") or ""))
    if code in ("timed_out", "output_limit", "canceled"):
        return f"{text}: {detail or message}"
    return f"{text}: {message}{f' ({detail})' if detail and detail not in message else ''}"


def remarks(ended: dict[str, Any]) -> Iterator[str]:
    """Yield `hint: …` for an error, and `note: …` for each fact of the report that needs attention."""
    error = ended.get("error") or {}
    if ended["status"] != "completed" and error and error.get("code") not in _NO_HINT:
        yield f"hint: {one_line(str(error['hint']))}"
    for note in ended.get("notes") or []:
        yield (
            f"note: {_where(note, int(ended.get('count') or 1))}{one_line(str(note['message']))}; "
            f"{one_line(str(note['hint']))}"
        )


def _where(note: dict[str, Any], of: int) -> str:
    hosts = note.get("hosts")
    return f"on {count(int(hosts), 'host')} of {of:,}: " if hosts and hosts < of else ""
