"""Applies one phase of a plan in an open SQLite transaction. Runs in the writing thread."""

from __future__ import annotations

import sqlite3
from typing import Any

from server.store.base import KeyTaken, TokenSpent
from server.store.late_reports import Room, RowEnd, noted, room, sort
from server.store.plan import Phase
from server.store.sql import SQLITE, numbered
from server.store.sqlite.row_statement import SIZES, WIDE_SIZES, RowStatement
from server.store.statements import sqlite_delete, sqlite_write
from server.store.tables.columns import as_json
from server.store.tables.command import COMMAND
from server.store.tables.execution import EXECUTION, execution_row
from server.store.tables.join_token import JOIN_USE
from server.store.tables.orphan import ORPHAN
from server.store.tables.output import OUTPUT
from server.store.tables.registry import TABLES, Tables
from server.store.tables.table import Table, WriteRule
from server.store.tables.task import IDEMPOTENCY, TASK, task_row

_PARAMETERS = {
    "create_task": TASK.names,
    "create_targets": ("task_id", "targets"),
    "create_command": COMMAND.names,
    "create_execution": ("command_id", "host_id"),
    "create_key": IDEMPOTENCY.names,
    "save_execution": EXECUTION.names,
    "row_end": ("command_id", "host_id"),
    "save_late": ("late_result", "command_id", "host_id"),
    "save_orphan": ORPHAN.names,
    "note_orphan": ORPHAN.names,
    "orphans_of": ("host_id",),
    "is_deleted": ("command_id",),
    "note_join": JOIN_USE.names,
    "use_join_token": ("token_id", "used_at"),
}
# For every None that it binds, sqlite3 looks for an adapter in four steps of 0.45 µs each, most of the cost of a row.
# With an adapter registered there is one step; this one returns None.
_NOTHING: dict[None, None] = {}
sqlite3.register_adapter(type(None), _NOTHING.get)

_DELETE_TASK = ("note_deleted", "delete_executions")


def row_statement(table: Table[Any]) -> RowStatement:
    """The statements that write a table by its rule."""
    sizes = WIDE_SIZES if table is OUTPUT else SIZES
    # bytes that continue a long output are written one row at a time
    return RowStatement(sqlite_write(table), len(table.names), () if table.rule is WriteRule.APPEND else sizes)


class SqliteWrite:
    """The prepared statements of all writes."""

    def __init__(self, tables: Tables = TABLES) -> None:
        """Prepare the statements."""
        self._sql = {
            name: numbered(text, _PARAMETERS.get(name, ("task_id",)))
            for name, text in SQLITE.load("write_sqlite").items()
        }
        self._writes = [(table, row_statement(table)) for table in tables.generic]
        self.save_execution = RowStatement(self._sql["save_execution"], len(EXECUTION.names))
        self.create_execution = RowStatement(self._sql["create_execution"], len(_PARAMETERS["create_execution"]))
        self._deletes = [(where, sqlite_delete(*where)) for where in tables.delete_columns()]

    def apply(self, connection: sqlite3.Connection, phase: Phase) -> None:
        """Apply one phase.

        Raises:
            KeyTaken: an idempotency key belongs to another task.
            TokenSpent: a join token has no use left.
            sqlite3.Error: the database failed; the caller rolls back.
        """
        if phase.created:
            self._create(connection, phase)
        for table, statement in self._writes:
            records = phase.records.get(table)
            if records:
                statement.run(connection, map(table.encode, records.values()))
        if phase.executions:
            self.save_execution.run(connection, map(execution_row, phase.executions.values()))
        if phase.lates:
            self._lates(connection, phase)
        if phase.orphans:
            self._orphans(connection, phase)
        if phase.joins:
            self._joins(connection, phase)
        for name in _DELETE_TASK:
            connection.executemany(self._sql[name], ((task_id,) for task_id in phase.deleted_tasks))
        for where, sql in self._deletes:
            if where in phase.deleted:
                connection.executemany(sql, ((value,) for value in phase.deleted[where]))

    def _create(self, connection: sqlite3.Connection, phase: Phase) -> None:
        for save in phase.created.values():
            task, command = save.task, save.command
            if save.idempotency_key is not None:
                key = (save.idempotency_key, task.task_id, save.request_digest or b"", task.created_at)
                connection.execute(self._sql["create_key"], key)
                owner = connection.execute(
                    "SELECT task_id FROM idempotency WHERE idempotency_key = ?", key[:1]
                ).fetchone()
                if owner != (task.task_id,):
                    raise KeyTaken(f"the idempotency key of task {task.task_id} belongs to task {owner[0]}")
            connection.execute(self._sql["create_task"], task_row(task))
            connection.execute(self._sql["create_targets"], (task.task_id, as_json(task.targets)))
            connection.execute(self._sql["create_command"], COMMAND.encode(command))
            # in key order, so that the tree grows at one end
            rows = ((command.command_id, host_id) for host_id in sorted(task.targets))
            self.create_execution.run(connection, rows)

    def _joins(self, connection: sqlite3.Connection, phase: Phase) -> None:
        for use in phase.joins:
            new = connection.execute(
                self._sql["note_join"], (use.serial, use.token_id, use.host_id, use.used_at)
            ).rowcount
            if new and not connection.execute(self._sql["use_join_token"], (use.token_id, use.used_at)).rowcount:
                raise TokenSpent(f"join token {use.token_id} is unknown, out of date or used up")

    def _lates(self, connection: sqlite3.Connection, phase: Phase) -> None:
        ends = {}
        for key in phase.late_rows:
            row = connection.execute(self._sql["row_end"], key).fetchone()
            if row is not None:
                ends[key] = RowEnd(*row)
        lost = [late for late in phase.lates if late.claimed and (late.command_id, late.host_id) not in ends]
        rooms = {host_id: self._room(connection, host_id) for host_id in {late.host_id for late in lost}}
        deleted = {
            late.command_id
            for late in lost
            if connection.execute(self._sql["is_deleted"], (late.command_id,)).fetchone()
        }
        found = sort(phase.lates, ends, rooms, deleted)
        connection.executemany(sqlite_write(OUTPUT), map(OUTPUT.encode, found.outputs))
        connection.executemany(self._sql["save_late"], found.beside)
        connection.executemany(self._sql["save_orphan"], found.orphans)

    def _room(self, connection: sqlite3.Connection, host_id: str) -> Room:
        return room(connection.execute(self._sql["orphans_of"], (host_id,)).fetchall())

    def _orphans(self, connection: sqlite3.Connection, phase: Phase) -> None:
        rooms = {host_id: self._room(connection, host_id) for host_id in {orphan.host_id for orphan in phase.orphans}}
        connection.executemany(self._sql["note_orphan"], noted(phase.orphans, rooms))
