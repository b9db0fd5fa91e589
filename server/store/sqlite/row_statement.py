"""Statements that write many rows at once, made from the statement for one row.

sqlite3 releases Python's global lock for each statement and takes it again afterwards. While the event loop is busy,
each time costs the writing thread up to a millisecond, so that statements for one row take 150 to 480 µs each instead
of 30. With 50 rows in a statement a row takes 50 to 60 µs beside a busy loop, and the same 30 µs beside an idle one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

SIZES = (50, 10)
"""Rows of a statement, largest first. The rest of a batch is written by the statement for one row."""
WIDE_SIZES = (10,)
"""The same for tables whose rows hold outputs: SQLite copies all values of a statement."""
UPDATE_FROM = (3, 33, 0)
"""The first version of SQLite that updates from a list of rows; older ones get one statement per row."""

_PARAMETER = re.compile(r"\?(\d+)")
_VALUES = re.compile(r"VALUES \([^()]*\)")


class RowStatement:
    """An INSERT or UPDATE by key, for one row and for many."""

    def __init__(self, one: str, columns: int, sizes: tuple[int, ...] = SIZES) -> None:
        """Derive the statements for many rows.

        Args:
            one: the statement for one row; its parameters are ?1 and so on.
            columns: the number of values in a row.
            sizes: the numbers of rows for which there is a statement, descending.

        Raises:
            ValueError: the statement has another form.
        """
        self.one = one
        known = sqlite3.sqlite_version_info >= UPDATE_FROM
        self.many = {size: many_rows(one, columns, size) for size in sizes} if known else {}

    def run(self, connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write the rows, of which no two may have the same key."""
        left = iter(rows)
        for size, sql in self.many.items():
            while len(some := list(islice(left, size))) == size:
                connection.execute(sql, list(chain.from_iterable(some)))
            left = iter(some)
        connection.executemany(self.one, left)


def many_rows(one: str, columns: int, rows: int) -> str:
    """The statement for `rows` rows. Its parameters are the values of the first row, then those of the second, etc.

    SQLite calls the columns of a VALUES list column1, column2 and so on (https://sqlite.org/lang_select.html).

    Raises:
        ValueError: the statement for one row is neither an INSERT nor an UPDATE by key.
    """
    values = "VALUES " + ", ".join([f"({', '.join('?' * columns)})"] * rows)
    if one.startswith("INSERT ") and len(_VALUES.findall(one)) == 1:
        sql = _VALUES.sub(values, one)
    elif one.startswith("UPDATE ") and one.count(" WHERE ") + one.count("\nWHERE ") == 1:
        sets, where = re.split(r"\sWHERE ", _PARAMETER.sub(r"rows.column\1", one))
        sql = f"{sets} FROM ({values}) AS rows WHERE {where}"
    else:
        raise ValueError(f"not an INSERT of one row or an UPDATE by key: {one}")
    if _PARAMETER.search(sql):
        raise ValueError(f"a value of the row is used outside of VALUES: {one}")
    return sql
