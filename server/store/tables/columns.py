"""Columns of the stored tables: their names, and how a Python value becomes a database value and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from server.core.inputs import bounds

Row = Sequence[Any]


def as_json(value: Mapping[str, object] | Sequence[object] | None) -> str | None:
    """The JSON text of a value; None stays None.

    Raises:
        orjson.JSONEncodeError: (a TypeError) for a value that JSON cannot hold.
    """
    return None if value is None else orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class Codec:
    """How the values of a column are written and read. None as a function: the value is kept as it is."""

    encode: Callable[[Any], object] | None = None
    decode: Callable[[Any], object] | None = None


PLAIN = Codec()
"""Text, numbers and bytes."""
FLAG = Codec(int, bool)
"""A truth value, kept as 0 or 1."""
BLOB = Codec(None, bytes)
"""Bytes that a database may return as another type of bytes."""
NULLABLE_BLOB = Codec(None, lambda value: bytes(value or b""))
"""Bytes; NULL is read as empty."""
JSON = Codec(as_json, orjson.loads)
"""A mapping, kept as JSON text."""
JSON_LIST = Codec(as_json, lambda text: tuple(orjson.loads(text)))
"""A tuple, kept as JSON text."""
NULLABLE_LIST = Codec(as_json, lambda text: None if text is None else tuple(orjson.loads(text)))
"""A tuple or None, kept as JSON text or NULL."""
EMPTY_LIST = Codec(lambda value: as_json(value) if value else None, lambda text: tuple(orjson.loads(text or "[]")))
"""A tuple, kept as JSON text; the empty tuple is kept as NULL."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a server can have written into a column.

    Attributes:
        low: the lowest one.
        high: the highest one.
        instead: what replaces any other number when the server starts.
    """

    low: int
    high: int
    instead: int | None


MOMENT = Range(0, bounds.TIME_MAX_MS, 0)
"""Milliseconds since 1970 UTC."""
BIT = Range(0, 1, 0)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: its name in the database.
        codec: how its values are written and read.
        attribute: the attribute of the record that it holds; by default `name`.
        range: the numbers that it may hold; None for a column that a start does not check.
        derived: it is computed from the record, written for queries, and never read back.
    """

    name: str
    codec: Codec = PLAIN
    attribute: str = ""
    range: Range | None = None
    derived: bool = False

    @property
    def field(self) -> str:
        """The attribute of the record."""
        return self.attribute or self.name


def number(name: str, range: Range) -> Column:
    """A column of numbers that are checked when the server starts."""
    return Column(name, range=range)
