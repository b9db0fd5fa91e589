"""Durations as operators write them: `90`, `500ms`, `30s`, `5m`, `2h`, `7d`."""

from __future__ import annotations

import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
"""Unit to seconds."""
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])?")
_WHOLE = re.compile(r"([1-9][0-9]{0,8})([smhd])?")
_AGE = re.compile(r"([0-9]{1,6})([smhdw])")


def parse(text: str) -> float:
    """Return the seconds of a duration. A number without a unit is in seconds.

    Raises:
        ValueError: The text is not a duration.
    """
    return _seconds(_NUMBER, text)


def parse_whole(text: str) -> float:
    """Return the seconds of a positive whole number of seconds, minutes, hours or days.

    Raises:
        ValueError: The text is not such a duration.
    """
    return _seconds(_WHOLE, text.strip())


def parse_age(text: str) -> float:
    """Return the seconds of an age: a whole number of at most six digits with `s`, `m`, `h`, `d` or `w` for weeks.

    Raises:
        ValueError: The text is not such an age.
    """
    return _seconds(_AGE, text)


def _seconds(pattern: re.Pattern[str], text: str) -> float:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a duration")
    return float(match[1]) * UNITS[match[2] or "s"]
