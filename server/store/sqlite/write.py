"""Carries out one phase of a plan on an open SQLite transaction. Runs in the writing thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from server.store.base import KeyTaken, TokenSpent
from server.store.late_reports import Room, RowEnd, noted, room, sort
from server.store.plan import Phase
from server.store.sql import SQLITE, numbered
from server.store.tables.rows import (
    COMMAND,
    EXECUTION,
    HOST,
    IDEMPOTENCY,
    IDENTITY,
    JOIN_REQUEST,
    JOIN_TOKEN,
    JOIN_USE,
    ORPHAN,
    OUTPUT,
    TASK,
    as_json,
    command_row,
    execution_row,
    host_row,
    identity_row,
    join_request_row,
    join_token_row,
    output_row,
    task_row,
)

_COLUMNS = {
    "create_task": TASK.columns,
    "create_targets": ("task_id", "targets"),
    "create_command": COMMAND.columns,
    "create_execution": ("command_id", "host_id"),
    "create_key": IDEMPOTENCY.columns,
    "save_output": OUTPUT.columns,
    "save_task": TASK.columns,
    "save_execution": EXECUTION.columns,
    "row_end": ("command_id", "host_id"),
    "save_late": ("late_result", "command_id", "host_id"),
    "save_orphan": ORPHAN.columns,
    "note_orphan": ORPHAN.columns,
    "orphans_of": ("host_id",),
    "is_deleted": ("command_id",),
    "save_host": HOST.columns,
    "save_seq": ("host_id", "max_seq"),
    "save_seen": ("host_id", "last_seen_at"),
    "save_epoch_seen": ("host_id", "max_epoch"),
    "create_join_token": JOIN_TOKEN.columns,
    "note_join": JOIN_USE.columns,
    "use_join_token": ("token_id", "used_at"),
    "save_join_request": JOIN_REQUEST.columns,
    "delete_join_request": ("request_id",),
    "save_identity": IDENTITY.columns,
    "save_meta": ("name", "value"),
    "save_kinds": ("command_id", "answer_kinds"),
    "delete_host": ("host_id",),
    "delete_seen": ("host_id",),
    "delete_orphans": ("host_id",),
    "delete_identity": ("host_id",),
    "delete_join_token": ("token_id",),
}
# sqlite3 asks four questions of every None it binds, whether it wants to be something else: 0.45 µs each,
# most of the cost of a row. With an adapter registered it asks one; this one returns what it is given.
_NOTHING: dict[None, None] = {}
sqlite3.register_adapter(type(None), _NOTHING.get)

_DELETE_TASK = ("note_deleted", "delete_executions", "delete_commands", "delete_targets", "delete_keys", "delete_task")


class SqliteWrite:
    """The statements, prepared for tuples."""

    def __init__(self) -> None:
        self._sql = {
            name: numbered(text, _COLUMNS.get(name, ("task_id",))) for name, text in SQLITE.load("write_sqlite").items()
        }

    def apply(self, connection: sqlite3.Connection, phase: Phase) -> None:
        """Raises KeyTaken, TokenSpent and whatever sqlite3 raises; the caller rolls back."""

        def each(name: str, rows: Iterable[tuple[Any, ...]]) -> None:
            connection.executemany(self._sql[name], rows)

        if phase.created:
            self._create(connection, phase)
        each("save_output", (output_row(output) for output in phase.outputs.values()))
        each("save_task", (task_row(task) for task in phase.tasks.values()))
        each("save_execution", (execution_row(row) for row in phase.executions.values()))
        if phase.lates:
            self._lates(connection, phase)
        if phase.orphans:
            self._orphans(connection, phase)
        each("save_host", (host_row(host) for host in phase.hosts.values()))
        each("save_seq", phase.seqs.items())
        each("save_seen", phase.seen.items())
        each("save_epoch_seen", phase.epochs.items())
        each("create_join_token", (join_token_row(token) for token in phase.tokens.values()))
        if phase.joins:
            self._joins(connection, phase)
        each("save_join_request", (join_request_row(request) for request in phase.requests.values()))
        each("save_identity", (identity_row(identity) for identity in phase.identities.values()))
        each("save_meta", phase.meta.items())
        each("save_kinds", phase.kinds.items())
        for name in _DELETE_TASK:
            each(name, ((task_id,) for task_id in phase.deleted_tasks))
        for name in ("delete_identity", "delete_seen", "delete_host"):
            each(name, ((host_id,) for host_id in phase.deleted_hosts))
        each("delete_join_token", ((token_id,) for token_id in phase.deleted_tokens))
        each("delete_join_request", ((request_id,) for request_id in phase.deleted_requests))
        each("delete_orphans", ((host_id,) for host_id in phase.deleted_orphans))

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
            connection.execute(self._sql["create_command"], command_row(command))
            # in the order of the key, so that the tree grows at one end
            rows = ((command.command_id, host_id) for host_id in sorted(task.targets))
            connection.executemany(self._sql["create_execution"], rows)

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
        connection.executemany(self._sql["save_output"], (output_row(output) for output in found.outputs))
        connection.executemany(self._sql["save_late"], found.beside)
        connection.executemany(self._sql["save_orphan"], found.orphans)

    def _room(self, connection: sqlite3.Connection, host_id: str) -> Room:
        return room(connection.execute(self._sql["orphans_of"], (host_id,)).fetchall())

    def _orphans(self, connection: sqlite3.Connection, phase: Phase) -> None:
        rooms = {host_id: self._room(connection, host_id) for host_id in {orphan.host_id for orphan in phase.orphans}}
        connection.executemany(self._sql["note_orphan"], noted(phase.orphans, rooms))
