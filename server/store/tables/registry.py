"""All tables, and which save writes or deletes from which.

The tables of tasks, hosts and joining stand here in the order in which a transaction writes them. The table of any
other noun is found by its folder, `server/store/nouns`, and is written after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proto.common.modules import declared_in
from server.store.tables.command import COMMAND, COMMAND_KINDS
from server.store.tables.execution import EXECUTION
from server.store.tables.host import HOST, HOST_SEEN, HOST_SEQ
from server.store.tables.identity import HOST_IDENTITY
from server.store.tables.join_request import JOIN_REQUEST
from server.store.tables.join_token import JOIN_TOKEN, JOIN_USE
from server.store.tables.meta import META
from server.store.tables.orphan import ORPHAN
from server.store.tables.output import OUTPUT
from server.store.tables.table import Table, WriteRule
from server.store.tables.task import IDEMPOTENCY, TASK, TASK_TARGETS

MIGRATIONS = Path(__file__).parents[1] / "migrations"
ORDERED: tuple[Table[Any], ...] = (
    OUTPUT,
    TASK,
    COMMAND,
    TASK_TARGETS,
    IDEMPOTENCY,
    EXECUTION,
    COMMAND_KINDS,
    ORPHAN,
    HOST,
    HOST_SEQ,
    HOST_SEEN,
    HOST_IDENTITY,
    JOIN_TOKEN,
    JOIN_USE,
    JOIN_REQUEST,
    META,
)
"""In the order in which one transaction writes them."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of one store, and how saves find them.

    Attributes:
        all: All tables, in the order in which one transaction writes them.
        generic: The tables that are written by their rule alone.
        writes: Save → the tables that it writes, each with the attribute of the save that holds the record.
        deletes: Save → the tables that it deletes from, each with the column that selects the rows.
        by_record: Class of a record → its table; for those that are written by their rule alone.
        migrations: The folders with the migrations that make them.
    """

    all: tuple[Table[Any], ...]
    generic: tuple[Table[Any], ...]
    writes: Mapping[type, Sequence[tuple[Table[Any], str]]]
    deletes: Mapping[type, Sequence[tuple[Table[Any], str]]]
    by_record: Mapping[type, Table[Any]]
    migrations: tuple[Path, ...]

    @classmethod
    def of(cls, tables: Sequence[Table[Any]], migrations: Sequence[Path] = (MIGRATIONS,)) -> Tables:
        """Return the indexes of these tables, which the migrations in these folders make."""
        generic = tuple(table for table in tables if table.rule is not WriteRule.BY_HAND)
        return cls(
            tuple(tables),
            generic,
            {
                save: [(table, table.saves[save]) for table in tables if save in table.saves]
                for save in {save for table in tables for save in table.saves}
            },
            {
                save: [(table, table.deletes[save]) for table in tables if save in table.deletes]
                for save in {save for table in tables for save in table.deletes}
            },
            {table.record: table for table in generic},
            tuple(migrations),
        )

    def __iter__(self) -> Iterator[Table[Any]]:
        """Iterate over all tables, in the order in which one transaction writes them."""
        return iter(self.all)

    def delete_columns(self) -> list[tuple[Table[Any], str]]:
        """Return each table and column by which some save deletes."""
        found = [where for columns in self.deletes.values() for where in columns]
        found += [(table, table.key[0]) for table in self.generic if len(table.key) == 1]
        return list(dict.fromkeys(found))


TABLES = Tables.of((*ORDERED, *declared_in("server.store.nouns", Table)))

WORDS: Mapping[str, Table[Any]] = {table.name: table for table in reversed(TABLES.all)} | {
    "execution": EXECUTION,
    "execution_but_version": replace(EXECUTION, fixed=EXECUTION.fixed | {"version"}),
}
"""The name of each table in the queries."""
