"""Aligned tables, on a terminal at most as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from server.cli.render.text import cut, one_line, pad, width

GAP = 2
NARROW, NARROWEST = 8, 3
"""Minimum widths of cut cells: in columns that may be dropped, and in columns that are kept."""


class Column(NamedTuple):
    """One column.

    Attributes:
        title: The header.
        value: Returns the cell of an item.
        wide: Shown only with -o wide.
        keep: Never dropped on a narrow terminal.
        whole: Cut last.
    """

    title: str
    value: Callable[[dict[str, Any]], str]
    wide: bool = False
    keep: bool = False
    whole: bool = False


def terminal_columns() -> int | None:
    """Return the width of the terminal; None if standard output is a file or pipe, which gets full cells."""
    if not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size((80, 24)).columns, NARROWEST)


class Table:
    """Formats rows. The first page of rows sets the column widths."""

    def __init__(self, columns: Sequence[Column], *, wide: bool, headers: bool) -> None:
        self._columns = [column for column in columns if wide or not column.wide]
        self._room = None if wide else terminal_columns()
        self._headers = headers
        self._widths: list[int] = []

    def lines(self, items: Sequence[dict[str, Any]]) -> list[str]:
        if not self._widths:
            rows = [self._cells(item) for item in items]
            titles = [[column.title for column in self._columns]] if self._headers else []
            self._widths = [max(map(width, cells)) for cells in zip(*titles, *rows, strict=True)]
            if self._room is not None:
                self._fit(self._room)
            titles = [[column.title for column in self._columns]] if self._headers else []
            return [self._line(cells) for cells in (*titles, *map(self._cells, items))]
        return [self._line(self._cells(item)) for item in items]

    def _cells(self, item: dict[str, Any]) -> list[str]:
        return [one_line(column.value(item)) or "-" for column in self._columns]

    def _fit(self, room: int) -> None:
        """Cut cells first, then drop columns, the widest first, and finally cut the columns that are kept."""
        self._cut([index for index, column in enumerate(self._columns) if not column.whole], NARROW, room)
        while self._excess(room) > 0 and (
            others := [index for index, column in enumerate(self._columns) if not column.keep]
        ):
            dropped = max(others, key=lambda index: self._widths[index])
            del self._columns[dropped], self._widths[dropped]
        self._cut([index for index, column in enumerate(self._columns) if not column.whole], NARROWEST, room)
        self._cut(list(range(len(self._columns))), NARROWEST, room)

    def _excess(self, room: int) -> int:
        return sum(self._widths) + GAP * (len(self._widths) - 1) - room

    def _cut(self, indexes: Sequence[int], least: int, room: int) -> None:
        while indexes and (excess := self._excess(room)) > 0:
            widest = max(indexes, key=lambda index: self._widths[index])
            if self._widths[widest] <= least:
                return
            lower = max(
                [least, *(self._widths[index] for index in indexes if self._widths[index] < self._widths[widest])]
            )
            self._widths[widest] -= min(excess, self._widths[widest] - lower)

    def _line(self, cells: Sequence[str]) -> str:
        shown = (
            cells
            if self._room is None
            else [cut(cell, columns) for cell, columns in zip(cells, self._widths, strict=True)]
        )
        return (" " * GAP).join(pad(cell, columns) for cell, columns in zip(shown, self._widths, strict=True)).rstrip()
