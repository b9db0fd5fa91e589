"""Errors of the CLI: one message, one hint, one exit code."""

from __future__ import annotations

import re

from proto.readable import escaped
from server.cli.render.text import width
from server.errors import NO_PERMISSION, PROBLEMS, SOFTWARE, UNAVAILABLE, USAGE

NAMES = 20
"""Maximum number of names that an error lists."""
_OF_THE_API = ("targets", "select")
"""Fields that are not named in messages, because the command line shows their values under other names."""
_AT_COLUMN = re.compile(r"^(?:\w+: )?(?:at column \d+: )?(.*)$", re.DOTALL)
BROKEN_PIPE = 141
"""Exit code when nothing reads the output any more: 128 + SIGPIPE, as shells report it."""


class CliFailure(Exception):
    """The CLI cannot do what the user asked.

    Attributes:
        exit_code: Exit code of the CLI.
        message: What happened.
        hint: What to do.
    """

    maybe_done = False
    """Whether the server may have carried out the request although it failed."""
    shown = ""
    """Lines below the message that show the position of an error in a selector."""

    def __init__(self, exit_code: int, message: str, hint: str = "") -> None:
        self.exit_code = exit_code
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"clarion: {joined(self.message, self.hint)}{self.shown}"


class ServerRefused(CliFailure):
    """The server answered with an error. `retry_after` is in seconds, or None if the server did not send it."""

    def __init__(self, status: int, error: dict[str, object], retry_after: float | None) -> None:
        self.status, self.code, self.retry_after = status, str(error.get("code") or ""), retry_after
        message = str(error.get("message") or f"the server answered with status {status}")
        hint = str(error.get("hint") or "")
        if self.code == "invalid_expression" and isinstance(error.get("column"), int):
            message = _AT_COLUMN.sub(r"\1", message)
            hint = "" if hint == PROBLEMS[self.code].hint else hint
            self.shown = _caret(error)
        field = str(error.get("field") or "")
        whole = message[-1:] in (".", "?", "!")
        told = (
            f" ({field})"
            if field
            and not whole
            and field.partition("[")[0] not in (*_OF_THE_API, *message.replace("[", " ").replace(":", " ").split())
            else ""
        )
        if message.endswith("?") and self.code in PROBLEMS and hint == PROBLEMS[self.code].hint:
            hint = ""  # the proposal in the message is the hint
        super().__init__(_exit(status, self.code), f"{message}{told}{_details(error, message)}", hint)


class Unreachable(CliFailure):
    """No server answered, or another program than Clarion did."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(UNAVAILABLE, message, hint)


def _exit(status: int, code: str) -> int:
    """Return the exit code of an error. The HTTP status decides for codes that this CLI does not know."""
    if code in PROBLEMS:
        return PROBLEMS[code].exit
    if status in (401, 403):
        return NO_PERMISSION
    if status in (429, 502, 503, 504):
        return UNAVAILABLE
    return USAGE if status < 500 else SOFTWARE


def joined(message: str, hint: str) -> str:
    """Join message and hint: as two sentences if the message is a whole sentence, otherwise with a semicolon."""
    if not hint:
        return message
    return (
        f"{message} {hint[:1].upper()}{hint[1:]}{'' if hint[-1] in '.?!' else '.'}"
        if message[-1:] in (".", "?", "!")
        else f"{message}; {hint}"
    )


def _caret(error: dict[str, object]) -> str:
    """Return the text of a selector and a caret under the error."""
    text, column = error.get("excerpt") or error.get("text"), error.get("excerpt_column") or error.get("column")
    if not isinstance(text, str) or not isinstance(column, int) or not 1 <= column <= len(text) + 1:
        return ""
    before, after = (
        escaped(part.replace("\n", " ").replace("\t", " ")) for part in (text[: column - 1], text[column - 1 :])
    )
    return f"\n  {before}{after}\n  {' ' * width(before)}^"


def _details(error: dict[str, object], message: str) -> str:
    """Return other members of the error, such as unknown hosts, if the message does not name them: count, then "
    "names."""
    known = (
        "code",
        "message",
        "field",
        "hint",
        "column",
        "expected",
        "text",
        "excerpt",
        "excerpt_column",
        *(("request_id",) if error.get("code") != "internal" else ()),
    )
    texts = []
    for name, value in error.items():
        if name in known or value in (None, "", [], {}):
            continue
        if isinstance(value, list | dict):
            items = [escaped(str(item)) for item in value if isinstance(item, str | int)]
            # A sentence that names the first item also has their number.
            if (
                not items
                or (items[0] in message and message[-1:] in (".", "?"))
                or all(item in message for item in items)
            ):
                continue
            more = f", and {len(items) - NAMES:,} more" if len(items) > NAMES else ""
            texts.append(f"; {len(items):,} {name}: {', '.join(items[:NAMES])}{more}")
        elif (text := escaped(str(value))) not in message:
            texts.append(f"; {name}: {text}")
    return "".join(texts)
