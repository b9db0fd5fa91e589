"""Checks of single fields, shared by the requests that write. Each raises ClarionError and names the field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from proto.readable import hidden
from server.errors import ClarionError
from server.web.http.limits import Limits

LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL_NAME = re.compile(rf"{LABEL_NAME}\Z")
_LINES = str.maketrans("\n\r\t", "   ")


def refuse(field: str, message: str, hint: str) -> ClarionError:
    """An invalid_value error. `message` follows the field's name; `hint` is the remedy."""
    return ClarionError("invalid_value", f"{field} {message}", field=field, hint=hint)


def over_limit(field: str, message: str, remedy: str, setting: str | None) -> ClarionError:
    """The error for an exceeded limit.

    Args:
        field: The field.
        message: What is wrong, to follow the field's name.
        remedy: What the client can do.
        setting: Dotted key of the setting that sets the limit; None for a fixed limit.
    """
    return refuse(
        field,
        message,
        f"{remedy}, or raise {setting} in the server's settings" if setting else f"{remedy}; this limit is fixed",
    )


def check_visible(field: str, value: str, *, lines: bool = False) -> None:
    """Refuse characters that people cannot see, or that change how they read the text.

    Args:
        field: The field.
        value: Its text.
        lines: Accept line breaks and tabs.
    """
    character = hidden(value.translate(_LINES) if lines else value)
    if character is not None:
        raise refuse(
            field,
            f"contains {character}, which is invisible or changes how the text is read",
            f"write {field} without this character",
        )


def check_text(field: str, value: str, max_bytes: int, setting: str | None, *, empty: bool = True) -> str:
    """Return a text that contains no NUL and is at most `max_bytes` of UTF-8 long.

    Args:
        field: The field.
        value: Its text.
        max_bytes: The limit.
        setting: Dotted key of the setting that sets the limit; None for a fixed limit.
        empty: Accept a text without any visible character.
    """
    if not empty and not value.strip():
        raise refuse(field, "is empty", f"give {field} a value")
    if "\0" in value:
        raise refuse(field, "contains NUL", "an operating system cannot pass NUL on; use stdin_base64 for binary data")
    if len(value) > max_bytes or len(value.encode()) > max_bytes:
        raise over_limit(
            field, f"has {len(value.encode())} bytes; at most {max_bytes} are accepted", f"shorten {field}", setting
        )
    return value


def check_name(field: str, value: str, max_chars: int) -> str:
    """Return a name for people: one line of visible characters, not empty, at most `max_chars` long."""
    if len(value) > max_chars:
        raise over_limit(
            field, f"has {len(value)} characters; at most {max_chars} are accepted", f"shorten {field}", None
        )
    if CONTROL.search(value):
        raise refuse(field, "contains control characters", f"write {field} on one line")
    check_visible(field, value)
    if not value.strip():
        raise refuse(field, "is empty", f"give it a name, or leave {field} out")
    return value


def check_seconds(field: str, value: float, low: float, high: float, setting: str = "limits.timeout_max") -> int:
    """Return a duration in milliseconds.

    Args:
        field: The field.
        value: Its value, in seconds.
        low: Lower bound, in seconds.
        high: Upper bound, in seconds.
        setting: Dotted key of the setting that sets the upper bound.
    """
    if not (math.isfinite(value) and low <= value <= high):
        message = f"must lie between {low:g} and {high:.15g} seconds, not {value:.15g}"
        raise (
            over_limit(field, message, "use a shorter time", setting)
            if value > high
            else refuse(field, message, f"use at least {low:g} seconds")
        )
    return round(value * 1000)


def check_number(field: str, value: int, low: int, high: int, setting: str | None) -> int:
    """Return a number between `low` and `high`. `setting` sets the upper bound; None for a fixed limit."""
    if not low <= value <= high:
        message = f"must lie between {low} and {high}, not {str(value)[:20]}"
        raise (
            over_limit(field, message, "use a smaller number", setting)
            if value > high
            else refuse(field, message, f"use at least {low}")
        )
    return value


def check_labels(labels: Mapping[str, str], limits: Limits) -> None:
    """Check all labels of a host."""
    check_label_texts(labels, limits)
    check_label_count(labels, limits)


def check_label_texts(labels: Mapping[str, str | None], limits: Limits) -> None:
    """Check names and values of labels. A value of None removes a label and needs no check."""
    for name, value in labels.items():
        field = f"labels.{name[:100]}"
        if not _LABEL_NAME.match(name):
            raise ClarionError(
                "invalid_value",
                f"{name[:100]!r} cannot be a label's name",
                field=field,
                hint="1 to 64 letters, digits, . _ / -, beginning and ending with a letter or digit",
            )
        if value is None:
            continue
        if len(value.encode()) > limits.label_bytes:
            raise ClarionError(
                "invalid_value",
                f"{field} must be at most {limits.label_bytes} bytes of text",
                field=field,
                hint="shorten the value; this limit is fixed",
            )
        check_visible(field, value)


def check_label_count(labels: Mapping[str, str], limits: Limits) -> None:
    """Check the number of a host's labels."""
    if len(labels) > limits.labels:
        raise ClarionError(
            "invalid_value",
            f"a host has at most {limits.labels} labels, not {len(labels)}",
            field="labels",
            hint="remove some labels; this limit is fixed",
        )
