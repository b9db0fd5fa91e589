"""Checks that several bodies share. Each raises ClarionError invalid_value, naming the field."""

from __future__ import annotations

import math

from server.errors import ClarionError


def refuse(field: str, message: str, hint: str | None = None) -> ClarionError:
    return ClarionError("invalid_value", f"{field} {message}", field=field, hint=hint)


def seconds(field: str, value: float, low: float, high: float) -> int:
    """In milliseconds."""
    if not (math.isfinite(value) and low <= value <= high):
        raise refuse(field, f"must lie between {low:g} and {high:.15g} seconds, not {value:.15g}")
    return round(value * 1000)


def count(field: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise refuse(field, f"must lie between {low} and {high}")
    return value
