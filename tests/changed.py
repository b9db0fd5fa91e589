"""One `replace` for the core's dataclasses and for its Structs."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def replace(thing: T, **changes: Any) -> T:
    """A copy with other values in the named fields. Raises TypeError for a field that `thing` does not have."""
    if isinstance(thing, msgspec.Struct):
        return msgspec.structs.replace(thing, **changes)
    return dataclasses.replace(thing, **changes)  # type: ignore[type-var]
