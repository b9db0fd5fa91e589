"""Text for people: harmless, aligned, readable."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from unicodedata import east_asian_width

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS and the like, if they end
    r"|\x1b[ -/]*[0-Z\\^-~]"  # all other escapes
)
"""Control functions of ECMA-48 (5.3 to 5.6). No part can run over the beginning of another, so the work is linear."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Everything that moves a cursor, rings or turns the direction of writing, except tab and new line."""


def harmless(text: str) -> str:
    """Without escape sequences and control characters; a lone carriage return, which would overwrite, starts a new line."""
    text = _SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    return " ".join(harmless(text).split())


def width(text: str) -> int:
    """Columns on a terminal (UAX 11)."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def when(ms: int | None) -> str:
    """A time in ms since 1970 UTC, in the user's own zone."""
    return "-" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasted(ms: float | None) -> str:
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def labels(values: object) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(values.items())) if isinstance(values, dict) and values else "-"
