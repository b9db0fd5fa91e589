"""Types of command line values: whole numbers, durations and times."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import click

from proto.common import duration

LARGEST = 2**63 - 1
"""JSON and the server use 64 bits."""
LONGEST = 1e12
"""Seconds. The server's own limits are far below; JSON has no infinite numbers."""


class Whole(click.IntRange):
    """A whole number within a range, and never above LARGEST. The help shows only the range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if abs(number) > LARGEST:
            self.fail(f"{str(value)[:40]} is larger than any number that the server accepts", param, ctx)
        return number


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 500ms, 30s, 5m, 2h, 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        try:
            seconds = duration.parse(value)
        except ValueError as error:
            self.fail(f"{error}; write seconds, or 500ms, 30s, 5m, 2h, 1d", param, ctx)
        if seconds > LONGEST:
            self.fail(f"{value[:40]!r} is longer than any time that the server accepts", param, ctx)
        return seconds


class Moment(click.ParamType[str]):
    """A time: `1h` ago, `2026-03-01`, `2026-03-01 14:00` in the local zone, or RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return text that the server reads.

        A duration before now is sent as it is, so that only the server's clock counts. Other times become milliseconds
        since 1970.
        """
        text = str(value).strip()
        with suppress(ValueError):
            duration.parse_age(text)
            return text
        try:
            moment = _named_day(text) or datetime.fromisoformat(text)
            return str(int((moment if moment.tzinfo else moment.astimezone()).timestamp() * 1000))
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{text!r} is not a time; write how long ago (90m, 1h, 7d), a local time (2026-03-01, "
                f"'2026-03-01 14:00'), today, yesterday, or RFC 3339",
                param,
                ctx,
            )


def _named_day(text: str) -> datetime | None:
    """Return the time of `now`, `today` or `yesterday`, otherwise None."""
    word = text.lower()
    if word not in ("now", "today", "yesterday"):
        return None
    now = datetime.now()
    if word == "now":
        return now
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=word == "yesterday")
