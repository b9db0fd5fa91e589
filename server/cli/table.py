"""Tables for people: aligned, and on a terminal no wider than it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from server.cli.text import cut, one_line, pad, width

GAP = 2
NARROW, NARROWEST = 8, 3
"""Columns that a cell keeps when the terminal is narrow: at first, and when that is not enough."""


class Column(NamedTuple):
    """wide: shown with -o wide only. keep: not cut as long as other columns can be."""

    title: str
    value: Callable[[dict[str, Any]], str]
    wide: bool = False
    keep: bool = False


def terminal_columns() -> int | None:
    """Of the terminal that standard output is; None where it is none, so that files and pipes get everything."""
    if not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size((80, 24)).columns, NARROWEST)


class Table:
    """The widths are those of the first page of rows."""

    def __init__(self, columns: Sequence[Column], *, wide: bool, headers: bool) -> None:
        self._columns = [column for column in columns if wide or not column.wide]
        self._room = None if wide else terminal_columns()
        self._headers = headers
        self._widths: list[int] = []

    def lines(self, items: Sequence[dict[str, Any]]) -> list[str]:
        rows = [[one_line(column.value(item)) or "-" for column in self._columns] for item in items]
        first = not self._widths
        titles = [column.title for column in self._columns]
        if first:
            self._widths = [max(map(width, cells)) for cells in zip(*([titles] if self._headers else []), *rows, strict=True)]
            if self._room is not None:
                self._fit(self._room)
        return [self._line(cells) for cells in ([titles, *rows] if first and self._headers else rows)]

    def _fit(self, room: int) -> None:
        order = [index for index, column in enumerate(self._columns) if not column.keep]
        for indexes, least in ((order, NARROW), (range(len(self._columns)), NARROWEST)):
            while (excess := sum(self._widths) + GAP * (len(self._widths) - 1) - room) > 0:
                widest = max(indexes, key=lambda index: self._widths[index], default=None)
                if widest is None or self._widths[widest] <= least:
                    break
                others = [self._widths[index] for index in indexes if index != widest]
                lower = max([least, *(size for size in others if size < self._widths[widest])])
                self._widths[widest] -= min(excess, max(self._widths[widest] - lower, 1))

    def _line(self, cells: Sequence[str]) -> str:
        shown = cells if self._room is None else [cut(cell, columns) for cell, columns in zip(cells, self._widths, strict=True)]
        return (" " * GAP).join(pad(cell, columns) for cell, columns in zip(shown, self._widths, strict=True)).rstrip()
