"""Checks that several bodies share. Each raises ClarionError invalid_value, naming the field."""

from __future__ import annotations

import math

from proto.readable import hidden
from server.core.selectors.expression import ExpressionError
from server.errors import ClarionError

_LINES = str.maketrans("\n\r\t", "   ")


def refuse(field: str, message: str, hint: str) -> ClarionError:
    """hint: the remedy; a message without one leads nowhere."""
    return ClarionError("invalid_value", f"{field} {message}", field=field, hint=hint)


def check_visible(field: str, value: str, *, lines: bool = False) -> None:
    """What people read holds no character that they cannot see, or that changes how they read the rest. lines: new
    lines and tabs are allowed."""
    character = hidden(value.translate(_LINES) if lines else value)
    if character is not None:
        raise refuse(
            field,
            f"holds {character}, which cannot be seen or changes how the text is read",
            f"write {field} without this character",
        )


def too_much(field: str, message: str, remedy: str, setting: str | None) -> ClarionError:
    """A limit is exceeded. remedy: what the client can do. setting: its dotted key; None: it is fixed."""
    return refuse(
        field,
        message,
        f"{remedy}, or raise {setting} in the server's settings" if setting else f"{remedy}; this limit is fixed",
    )


def seconds(field: str, value: float, low: float, high: float, setting: str = "limits.timeout_max") -> int:
    """In milliseconds. setting: what bounds it above."""
    if not (math.isfinite(value) and low <= value <= high):
        message = f"must lie between {low:g} and {high:.15g} seconds, not {value:.15g}"
        raise (
            too_much(field, message, "use a shorter time", setting)
            if value > high
            else refuse(field, message, f"use at least {low:g} seconds")
        )
    return round(value * 1000)


def count(field: str, value: int, low: int, high: int, setting: str | None) -> int:
    """setting: what bounds it above; None: a fixed limit."""
    if not low <= value <= high:
        message = f"must lie between {low} and {high}, not {str(value)[:20]}"
        raise (
            too_much(field, message, "use a smaller number", setting)
            if value > high
            else refuse(field, message, f"use at least {low}")
        )
    return value


def of_expression(error: ExpressionError) -> str | None:
    """The remedy where a limit is exceeded; None: the error's own remedy, which is to correct the text."""
    if not error.expected.startswith("at most"):
        return None
    if error.expected.endswith("characters"):
        return "write a shorter expression, or raise limits.expression_chars"
    if error.expected.endswith("names"):
        return (
            "name fewer hosts in brackets, or raise limits.selector_names (with * or ? in the word: "
            "limits.selector_patterns)"
        )
    return "use fewer parentheses and nots; this limit is fixed"
