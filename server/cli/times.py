"""Moments as operators write them: `1h` ago, `2026-03-01`, `2026-03-01 14:00` in the local zone, or RFC 3339."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?[smhdw]\Z")


class Moment(click.ParamType[str]):
    """In a form that the server reads: a length of time before now stays one, so that only the server's clock
    counts."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if _AGO.match(text):
            return text
        try:
            moment = _day(text) or datetime.fromisoformat(text)
            return str(int((moment if moment.tzinfo else moment.astimezone()).timestamp() * 1000))
        except (ValueError, OverflowError, OSError):
            self.fail(
                (
                    f"{text!r} is not a time; write how long ago (90m, 1h, 7d), a local time (2026-03-01, "
                    f"'2026-03-01 14:00'), today, yesterday, or RFC 3339"
                ),
                param,
                ctx,
            )


def _day(text: str) -> datetime | None:
    if text.lower() not in ("now", "today", "yesterday"):
        return None
    now = datetime.now()
    if text.lower() == "now":
        return now
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=text.lower() == "yesterday")
