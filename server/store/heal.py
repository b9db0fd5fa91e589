"""Checks stored numbers at a start, and replaces those that no server can have written.

A number that a host said, a bit that flipped, or a hand in the database must never keep a server from starting, so
every column that is read
at a start has bounds here. A number outside them is replaced by one that is safe: what was ended, revoked or accepted
stays so. Counters are
counted again. Texts that cannot be read are left as they are, and what they belong to is passed over, see `Reads`.

`healing` is a generator, because one database is asked from a thread and the other one from a task: it yields
(statement, parameters) and is
sent (rows, number of rows changed).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.core.states import ExecutionStatus
from server.store.tables.columns import Range, Row
from server.store.tables.registry import TABLES, Tables
from server.store.tables.table import Table
from server.store.tables.task import COUNTERS

Question = tuple[str, Mapping[str, object]]
Answer = tuple[Sequence[Row], int]
DELETED = 1_000_000
"""The newest commands of deleted tasks that are remembered; ids begin with their time."""


@dataclass(frozen=True, slots=True)
class Healed:
    """Numbers that were replaced.

    Attributes:
        rows: the number of rows of `table` that had an impossible `column`.
        what: a description for people.
    """

    table: str
    column: str
    rows: int
    what: str

    def __str__(self) -> str:
        """The line for the log."""
        return f"{self.table}.{self.column}: {self.what} in {self.rows} rows"


def _ranges(tables: Iterable[Table[Any]]) -> dict[str, dict[str, Range]]:
    return {
        table.name: {column.name: column.range for column in table.columns if column.range is not None}
        for table in tables
        if any(column.range for column in table.columns)
    }


def read_whole(tables: Tables) -> dict[str, dict[str, Range]]:
    """The tables that a start reads as a whole, with the range of each checked column."""
    return _ranges(table for table in tables.all if not table.open_rows)


def read_open(tables: Tables) -> dict[str, dict[str, Range]]:
    """The tables of which a start reads the rows of tasks that have not ended, with the range of each column."""
    return _ranges(table for table in tables.all if table.open_rows)


def healing(dialect: str, tables: Tables = TABLES) -> Generator[Question, Answer, list[Healed]]:
    """Replace impossible numbers, and forget the oldest commands of deleted tasks.

    Returns:
        What was healed; usually nothing.
    """
    healed = []
    conditions = {table.name: table.open_rows for table in tables.all if table.open_rows}
    for ranges, whose in ((read_whole(tables), {}), (read_open(tables), conditions)):
        for table, columns in ranges.items():
            where = f"({whose[table]}) AND " if table in whose else ""
            wrong = " OR ".join(_wrong(dialect, name, column) for name, column in columns.items())
            rows, _ = yield f"SELECT COUNT(*) FROM {table} WHERE {where}({wrong})", {}
            if rows[0][0]:
                healed += yield from _columns(dialect, table, columns, where)
    healed += yield from _counters(dialect)
    rows, _ = yield f"SELECT command_id FROM deleted_command ORDER BY command_id DESC LIMIT 1 OFFSET {DELETED}", {}
    if rows:
        yield "DELETE FROM deleted_command WHERE command_id <= :command_id", {"command_id": rows[0][0]}
    return healed


def _columns(
    dialect: str, table: str, columns: Mapping[str, Range], where: str
) -> Generator[Question, Answer, list[Healed]]:
    healed = []
    for name, column in columns.items():
        _, changed = yield (
            f"UPDATE {table} SET {name} = :instead WHERE {where}{_wrong(dialect, name, column)}",
            {"instead": column.instead},
        )
        if changed:
            healed.append(
                Healed(table, name, changed, f"not within {column.low} and {column.high}, now {column.instead}")
            )
    return healed


def _counters(dialect: str) -> Generator[Question, Answer, list[Healed]]:
    """Count again the impossible counters of all tasks: a start adds up those of ended tasks too."""
    wrong = " OR ".join(
        _wrong(dialect, name, Range(0, 1 << 31, 0))
        for name in (*COUNTERS, "total_hosts", "completed_hosts", "failed_hosts")
    )
    tasks, _ = yield f"SELECT task_id FROM task WHERE {wrong}", {}
    for (task_id,) in tasks:
        query = (
            "SELECT status, COUNT(*) FROM command_host WHERE command_id IN (SELECT command_id FROM command WHERE "
            "task_id = :task_id) GROUP BY status"
        )
        rows, _ = yield query, {"task_id": task_id}
        counts: dict[Any, int] = dict(rows)  # type: ignore[arg-type]
        counted: dict[str, object] = {
            name: counts.get(int(status), 0) for name, status in zip(COUNTERS, ExecutionStatus, strict=True)
        }
        counted["total_hosts"] = sum(counts.values())
        counted["completed_hosts"] = counts.get(int(ExecutionStatus.COMPLETED), 0)
        counted["failed_hosts"] = sum(number for status, number in counts.items() if status >= ExecutionStatus.FAILED)
        yield (
            f"UPDATE task SET {', '.join(f'{name} = :{name}' for name in counted)} WHERE task_id = :task_id",
            {**counted, "task_id": task_id},
        )
    return [Healed("task", "count_*", len(tasks), "impossible counters, counted again")] if tasks else []


def _wrong(dialect: str, name: str, column: Range) -> str:
    outside = f"{name} NOT BETWEEN {column.low} AND {column.high}"
    if dialect != "sqlite":
        return f"({outside})"
    # A column of integers in SQLite can hold other values: a sum that overflowed has become a floating-point number.
    return f"({name} IS NOT NULL AND (typeof({name}) <> 'integer' OR {outside}))"
