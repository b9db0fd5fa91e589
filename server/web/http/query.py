"""Reads and checks query parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from werkzeug.datastructures import MultiDict

from proto.common.duration import parse_age
from server.errors import ClarionError
from server.web.http.json_body import suggest
from server.web.http.route import Param

Value = TypeVar("Value")

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|[1-9](?:\.[0-9]+)?e-[0-9]{1,3}")
"""The second form is what Python and JavaScript write for a small number, such as 1e-07."""
_NUMBER_CHARS = 25

MAX_MS = 1 << 53
"""Larger numbers are not exact in JSON (RFC 8259 section 6)."""


class Query:
    """The query parameters of a request. All methods raise ClarionError for an invalid value.

    The constructor raises ClarionError for a parameter that the route does not have, or that is repeated and may not
    be.
    """

    def __init__(self, args: MultiDict[str, str], params: Sequence[Param]) -> None:
        self._args = args
        known = {param.name: param for param in params}
        for name in args:
            if name not in known:
                near = suggest(name, known)
                hint = (
                    f"did you mean {near}?"
                    if near
                    else ("parameters: " + ", ".join(known) if known else "this address takes none")
                )
                raise ClarionError(
                    "unknown_field", f"there is no query parameter {name[:100]!r}", field=name[:100], hint=hint
                )
            if not known[name].many and len(args.getlist(name)) > 1:
                raise ClarionError(
                    "invalid_value", f"{name} is given more than once", field=name, hint=f"give {name} once"
                )

    def text(self, name: str) -> str | None:
        value = self._args.get(name)
        if value is not None and (not value or "\0" in value):
            raise ClarionError(
                "invalid_value",
                f"{name} is empty or contains NUL",
                field=name,
                hint=f"give {name} a value or leave it out",
            )
        return value

    def repeated(self, name: str) -> list[str]:
        """The values of a repeated parameter. Commas do not separate values."""
        words = self._args.getlist(name)
        if "" in words:
            raise ClarionError(
                "invalid_value", f"{name} has an empty value", field=name, hint=f"give {name} a value or leave it out"
            )
        return words

    def many(self, name: str) -> list[str]:
        """The values of a parameter that may be repeated or contain a list with commas."""
        words = [word.strip() for value in self._args.getlist(name) for word in value.split(",")]
        if "" in words:
            raise ClarionError(
                "invalid_value", f"{name} has an empty value", field=name, hint=f"give {name} a value or leave it out"
            )
        return words

    def each(self, name: str, read: Callable[[str], Value], allowed: Sequence[str]) -> tuple[Value, ...]:
        """As `many`, with each word converted by `read`. `read` raises KeyError for an unknown word; `allowed` is for
        the hint."""
        values = []
        for word in self.many(name):
            try:
                values.append(read(word))
            except KeyError:
                near = suggest(word.lower(), allowed)
                hint = f"did you mean {near}?" if near else "one of: " + ", ".join(allowed)
                raise ClarionError("invalid_value", f"{name} cannot be {word[:100]!r}", field=name, hint=hint) from None
        return tuple(values)

    def integer(self, name: str, default: int, low: int, high: int, setting: str | None = None) -> int:
        """A whole number between `low` and `high`. `setting`, for the hint, is the setting of the upper bound."""
        text = self._args.get(name)
        if text is None:
            return default
        if not (_WHOLE.fullmatch(text) and len(text) <= 20):
            hint = (
                f"write decimal digits without leading zeros, a point, an exponent or a unit, such as "
                f"{name}={default if 0 < default < MAX_MS else 10}"
            )
            raise ClarionError(
                "wrong_type", f"{name} must be a whole number, not {text[:100]!r}", field=name, hint=hint
            )
        return self._within(name, int(text), low, high, setting)

    def number(self, name: str, high: float) -> float | None:
        """A number between 0 and `high`; None if the parameter is missing."""
        text = self._args.get(name)
        if text is None:
            return None
        if not (_NUMBER.fullmatch(text) and len(text) <= _NUMBER_CHARS):
            hint = f"write decimal digits, with a point where needed, and no exponent or unit, such as {name}=30"
            raise ClarionError("wrong_type", f"{name} must be a number, not {text[:100]!r}", field=name, hint=hint)
        return self._within(name, float(text), 0, high)

    def flag(self, name: str) -> bool | None:
        text = self._args.get(name)
        if text is None or text in ("true", "false"):
            return None if text is None else text == "true"
        raise ClarionError(
            "wrong_type",
            f"{name} must be true or false, not {text[:100]!r}",
            field=name,
            hint=f"write {name}=true or {name}=false",
        )

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        value = self._args.get(name, default)
        if value not in allowed:
            raise ClarionError(
                "invalid_value", f"{name} cannot be {value[:100]!r}", field=name, hint="one of: " + ", ".join(allowed)
            )
        return value

    def time_ms(self, name: str, now_ms: int) -> int | None:
        """A time in milliseconds since 1970, given so, as RFC 3339 with an offset, or as an age such as 90m or 7d."""
        text = self._args.get(name)
        if text is None:
            return None
        with suppress(ValueError):
            return max(now_ms - round(parse_age(text) * 1000), 0)
        if text.isascii() and text.isdigit() and len(text) <= 16:
            return self._within(name, int(text), 0, MAX_MS)
        try:
            # A '+' that was not escaped arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            hint = (
                "write RFC 3339 with its offset such as 2026-03-01T12:00:00Z, milliseconds since 1970, or how long "
                "ago with s, m, h, d or w, such as 1h or 7d"
            )
            raise ClarionError("invalid_value", f"{name} is not a time: {text[:100]!r}", field=name, hint=hint)
        return self._within(name, round(moment.timestamp() * 1000), 0, MAX_MS)

    def _within(self, name: str, value: Value, low: float, high: float, setting: str | None = None) -> Value:
        if not low <= value <= high:  # type: ignore[operator]
            raise ClarionError(
                "invalid_value",
                f"{name} must lie between {low} and {high}",
                field=name,
                hint=f"write a value from {low} to {high}" + (f"; {setting} sets the largest" if setting else ""),
            )
        return value
