"""Formats text, times and counts for terminals."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from unicodedata import east_asian_width

from proto.readable import escaped, readable

_SPACE = re.compile("[ \t\r\n]+")


def text_lines(output: bytes | str) -> list[str]:
    """Split output into readable lines, as docs/guide/output.md describes."""
    text = readable(output)
    return text.removesuffix("\n").split("\n") if text else []


def one_line(text: str) -> str:
    """Put a name or message on one line; invisible characters become escapes."""
    return escaped(_SPACE.sub(" ", text).strip(" "))


SHORT = 12
"""Number of last characters of an id that tables show. Ids begin with their time, so their beginnings are similar."""


def short(ident: object) -> str:
    return str(ident)[-SHORT:]


def width(text: str) -> int:
    """Return the number of columns on a terminal (UAX 11)."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, columns: int) -> str:
    """Cut a text to a number of columns and mark the cut."""
    if width(text) <= columns:
        return text
    shown, room = "", columns - 1
    for char in text:
        if (room := room - width(char)) < 0:
            break
        shown += char
    return f"{shown}…"


def pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def when(ms: int | None) -> str:
    """Format milliseconds since 1970 UTC in the user's time zone."""
    return "-" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(ms: float | None, now_ms: float) -> str:
    """Format an age in one unit: `8s`, `5m`, `3h`, `12d`."""
    if ms is None:
        return "-"
    seconds = max(0.0, (now_ms - ms) / 1000)
    for unit, size, next_size in (
        ("s", 1, 100),
        ("m", 60, 6_000),
        ("h", 3_600, 172_800),
        ("d", 86_400, 86_400 * 1_000),
    ):
        if seconds < next_size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds // (86_400 * 365):.0f}y"


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
    return (
        ",".join(f"{key}={value}" for key, value in sorted(values.items()))
        if isinstance(values, dict) and values
        else "-"
    )
