"""All tables, and which save writes or deletes from which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.store.tables.command import COMMAND, COMMAND_KINDS
from server.store.tables.execution import EXECUTION
from server.store.tables.host import HOST, HOST_SEEN, HOST_SEQ
from server.store.tables.host_set import HOST_SET
from server.store.tables.identity import HOST_IDENTITY
from server.store.tables.join_request import JOIN_REQUEST
from server.store.tables.join_token import JOIN_TOKEN, JOIN_USE
from server.store.tables.meta import META
from server.store.tables.orphan import ORPHAN
from server.store.tables.output import OUTPUT
from server.store.tables.table import Table, WriteRule
from server.store.tables.task import IDEMPOTENCY, TASK, TASK_TARGETS

TABLES: tuple[Table[Any], ...] = (
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
    HOST_SET,
    META,
)
"""In the order in which one transaction writes them."""

GENERIC = tuple(table for table in TABLES if table.rule is not WriteRule.BY_HAND)
"""The tables that are written by their rule alone."""

WRITES: Mapping[type, list[tuple[Table[Any], str]]] = {
    save: [(table, table.saves[save]) for table in TABLES if save in table.saves]
    for save in {save for table in TABLES for save in table.saves}
}
"""Save → the tables that it writes, each with the attribute of the save that holds the record."""

DELETES: Mapping[type, list[tuple[Table[Any], str]]] = {
    save: [(table, table.deletes[save]) for table in TABLES if save in table.deletes]
    for save in {save for table in TABLES for save in table.deletes}
}
"""Save → the tables that it deletes from, each with the column that selects the rows."""

BY_RECORD: Mapping[type, Table[Any]] = {table.record: table for table in GENERIC}
"""Class of a record → its table; for those that are written by their rule alone."""

WORDS: Mapping[str, Table[Any]] = {table.name: table for table in reversed(TABLES)} | {
    "execution": EXECUTION,
    "execution_but_version": replace(EXECUTION, fixed=EXECUTION.fixed | {"version"}),
}
"""What the queries call each table."""
