"""Tables for people: aligned, and on a terminal no wider than it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from server.cli.render.text import cut, one_line, pad, width

GAP = 2
NARROW, NARROWEST = 8, 3
"""Widths below which cells are not cut: of columns that may be left away, and of those that are kept."""


class Column(NamedTuple):
    """wide: shown with -o wide only. keep: not left away where the terminal is narrow. whole: cut last."""

    title: str
    value: Callable[[dict[str, Any]], str]
    wide: bool = False
    keep: bool = False
    whole: bool = False


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
        """Cut cells first, then leave columns away, the widest first, and cut what is to be kept at last."""
        self._cut([index for index, column in enumerate(self._columns) if not column.whole], NARROW, room)
        while self._excess(room) > 0 and (
            others := [index for index, column in enumerate(self._columns) if not column.keep]
        ):
            gone = max(others, key=lambda index: self._widths[index])
            del self._columns[gone], self._widths[gone]
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
