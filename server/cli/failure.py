"""How the CLI ends when it cannot do what was asked."""

from __future__ import annotations

from proto.readable import escaped
from server.cli.text import width
from server.errors import NO_PERMISSION, PROBLEMS, SOFTWARE, UNAVAILABLE, USAGE

INTERRUPTED, BROKEN_PIPE = 130, 141
"""128 + the signal's number, as shells report it."""


class CliFailure(Exception):
    """One message, one remedy, one exit code."""

    maybe_done = False
    """Whether the request that failed may have been carried out all the same."""

    def __init__(self, exit_code: int, message: str, hint: str = "") -> None:
        self.exit_code, self.message, self.hint = exit_code, message, hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"clarion: {self.message}{f'; {self.hint}' if self.hint else ''}"


class ServerRefused(CliFailure):
    """The server answered with an error of its catalogue. `retry_after`: seconds, where it named them."""

    def __init__(self, status: int, error: dict[str, object], retry_after: float | None) -> None:
        self.status, self.code, self.retry_after = status, str(error.get("code") or ""), retry_after
        field = f" ({error['field']})" if error.get("field") else ""
        message = str(error.get("message") or f"the server answered with status {status}")
        super().__init__(_exit(status, self.code), f"{message}{field}{_details(error, message)}", str(error.get("hint") or ""))
        self.place = _place(error)

    def __str__(self) -> str:
        return f"{super().__str__()}{self.place}"


class Unreachable(CliFailure):
    """Nobody answered, or not Clarion."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(UNAVAILABLE, message, hint)


def _exit(status: int, code: str) -> int:
    """By the code; a server newer than this CLI may have codes that it does not know, and then the status tells."""
    if code in PROBLEMS:
        return PROBLEMS[code].exit
    if status in (401, 403):
        return NO_PERMISSION
    if status in (429, 502, 503, 504):
        return UNAVAILABLE
    return USAGE if status < 500 else SOFTWARE


SAID = ("hosts", "errors", "column", "expected", "text", "excerpt", "excerpt_column")
"""Members whose content the message has, or that `_place` shows."""


def _place(error: dict[str, object]) -> str:
    """Two more lines, the text around the fault of a selector or a filter and a mark under it; empty for errors that have none."""
    excerpt, column = error.get("excerpt"), error.get("excerpt_column")
    if not isinstance(excerpt, str) or not isinstance(column, int):
        return ""
    before, after = (escaped(part.replace("\n", " ").replace("\t", " ")) for part in (excerpt[: column - 1], excerpt[column - 1 :]))
    return f"\n  {before}{after}\n  {' ' * width(before)}^"


def _has(message: str, value: object) -> bool:
    """Whether the message names all of it already."""
    if isinstance(value, dict):
        return all(_has(message, one) for one in (*value, *value.values()))
    return all(_has(message, one) for one in value) if isinstance(value, list) else str(value) in message


def _details(error: dict[str, object], message: str) -> str:
    """What else the error carries, such as every unknown host."""
    known = ("code", "message", "field", "hint", *SAID, *(("request_id",) if error.get("code") != "internal" else ()))
    texts = []
    for name, value in error.items():
        if name in known or value in (None, "", [], {}) or _has(message, value):
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list | dict) else str(value)
        texts.append(f"; {name}: {shown}")
    return "".join(texts)
