"""The declaration of a stored table. The plan, every database and the simulated database follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from typing import Any, Generic, TypeVar

from server.core.records import Collection
from server.store.tables.columns import Column, Row

T = TypeVar("T")
Key = Any
"""The value of a table's key column; a tuple of the values if there are several."""


class WriteRule(Enum):
    """The effect of a save on a row that exists, and on one that does not. Every rule makes a replay harmless."""

    INSERT_ONCE = "insert_once"
    """Insert; a row that exists stays as it is."""
    OVERWRITE = "overwrite"
    """Insert, or replace all columns but the fixed ones."""
    NEWER_VERSION = "newer_version"
    """Update a row whose `version` is lower; never insert."""
    MAX = "max"
    """Insert, or raise each column to the higher of the two numbers."""
    APPEND = "append"
    """Update the one column if the new bytes are longer, which then continue the old ones; never insert."""
    BY_HAND = "by_hand"
    """Written by statements of its own: task creation, executions, uses of join tokens, late reports."""


@dataclass(frozen=True, eq=False)
class Table(Generic[T]):
    """One table.

    Attributes:
        name: its name in the database.
        record: the class whose instances are its rows.
        key: the columns of its primary key.
        columns: all columns, in the order of the tuples that `encode` returns.
        rule: how a save is written.
        saves: the saves that write it besides SaveRecord, each with the attribute that holds the record; "" for the
            save itself.
        deletes: the saves that delete from it besides DeleteRecord, each with the column that is compared with the
            attribute of that name.
        fixed: columns that only the insert writes.
        open_rows: a condition for the rows that a start reads and checks; empty for all.
        encode: makes a tuple of a record; by default from the columns.
        decode: makes a record of a tuple; by default from the columns.
        memory: the collection in which the server keeps all its records; None if they are read when they are needed.
        key_of: the key of a record.
    """

    name: str
    record: type[T]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rule: WriteRule
    saves: Mapping[type, str] = field(default_factory=dict)
    deletes: Mapping[type, str] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    open_rows: str = ""
    encode: Callable[[T], tuple[Any, ...]] = field(default=None)  # type: ignore[assignment]
    decode: Callable[[Row], T] = field(default=None)  # type: ignore[assignment]
    memory: type[Collection[T]] | None = None
    key_of: Callable[[T], Key] = field(init=False)

    def __post_init__(self) -> None:
        """Derive what the declaration leaves out."""
        if self.encode is None:
            object.__setattr__(self, "encode", _encoder(self.columns))
        if self.decode is None:
            object.__setattr__(self, "decode", _decoder(self.record, self.columns))
        fields = [column.field for column in self.columns if column.name in self.key]
        object.__setattr__(self, "key_of", attrgetter(*fields))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def only_key(self) -> str:
        """The one column of the primary key.

        Raises:
            ValueError: the key has several columns.
        """
        (column,) = self.key
        return column

    @property
    def mutable(self) -> tuple[str, ...]:
        """The names of the columns that a later save may change."""
        return tuple(name for name in self.names if name not in self.key and name not in self.fixed)

    def merge(self, kept: T | None, new: T) -> T:
        """The one record that has the effect of saving `kept` and then `new`."""
        if kept is None:
            return new
        if self.rule is WriteRule.INSERT_ONCE:
            return kept
        if self.rule is WriteRule.NEWER_VERSION:
            return new if new.version > kept.version else kept  # type: ignore[attr-defined]
        if self.rule is WriteRule.MAX:
            rows = zip(self.names, self.encode(kept), self.encode(new), strict=True)
            return self.decode([old if name in self.key else max(old, value) for name, old, value in rows])
        if self.rule is WriteRule.APPEND:
            (name,) = self.mutable
            at = self.names.index(name)
            return new if len(self.encode(new)[at]) > len(self.encode(kept)[at]) else kept
        return new


def _getter(fields: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    get = attrgetter(*fields)
    return get if len(fields) > 1 else lambda record: (get(record),)


def _encoder(columns: tuple[Column, ...]) -> Callable[[Any], tuple[Any, ...]]:
    get = _getter([column.field for column in columns])
    changed = [(at, column.codec.encode) for at, column in enumerate(columns) if column.codec.encode is not None]
    if not changed:
        return get

    def encode(record: object) -> tuple[Any, ...]:
        values: list[Any] = list(get(record))
        for at, function in changed:
            values[at] = function(values[at])
        return tuple(values)

    return encode


def _decoder(record: type[T], columns: tuple[Column, ...]) -> Callable[[Row], T]:
    fields = [(at, column.field, column.codec.decode) for at, column in enumerate(columns) if not column.derived]

    def decode(row: Row) -> T:
        return record(**{name: row[at] if read is None else read(row[at]) for at, name, read in fields})

    return decode
