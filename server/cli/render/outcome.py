"""How an execution, or a group of them, ended: one line that says each thing once, and what an operator must know
besides."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

from proto.words import HOST_OFFLINE, STATES, TASKS
from server.cli.render.text import count, one_line

_PLAIN = ("exit_nonzero", "signaled", "canceled", "canceled_before_start")
"""Reasons that say no more than word, exit code and signal do."""
_NO_HINT = ("exit_nonzero", "canceled", "canceled_before_start")
"""Reasons whose hint is no help to who sees the output already."""


def word(status: object, *, unreachable: bool = False) -> str:
    """The word of an execution's status: `running (host offline)`. A status that this CLI does not know, as it is."""
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
    """`failed, exit code 3`, `timed out: the timeout of 1 s was over`, `not started: the host was offline when the
    command was due`."""
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
    """`hint: …` for what went wrong, and a `note: …` for each fact of the report that changes what there is to do."""
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
