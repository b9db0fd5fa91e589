"""Applies one phase of a plan in an open MySQL transaction, with statements that take many rows each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from trio_mysql import err

from server.core.model import Execution
from server.store.base import KeyTaken, StoreRefused, TokenSpent
from server.store.late_reports import Room, RowEnd, noted, room, sort
from server.store.mysql.connection import Connection, literal, literal_row
from server.store.mysql.errors import NULL_REFUSED, number
from server.store.plan import Phase
from server.store.sql import MYSQL
from server.store.statements import mysql_delete, mysql_versions, mysql_write
from server.store.tables.columns import Row, as_json
from server.store.tables.command import COMMAND
from server.store.tables.execution import execution_row
from server.store.tables.output import OUTPUT
from server.store.tables.registry import TABLES, Tables
from server.store.tables.table import Table, WriteRule
from server.store.tables.task import task_row

ROWS, BYTES = 500, 1 << 20
"""Limits of one statement. Building one blocks the loop for a few milliseconds; the next is built after the database
has answered."""

KEYS = 500
"""Limit of one list of keys. MariaDB turns lists above 1,000 into a subquery (in_predicate_conversion_threshold)."""


class NotAllTake(Exception):
    """Some execution does not take its change, or does not exist: roll back and repeat with `careful`."""


class MySQLWrite:
    """The statements of all writes."""

    def __init__(self, tables: Tables = TABLES) -> None:
        """Load the statements."""
        self._tables = tables
        self._sql = MYSQL.load("write_mysql")
        self._writes = {table: mysql_write(table) for table in tables.generic}
        self._deletes = [(where, mysql_delete(*where)) for where in tables.delete_columns()]

    async def apply(self, connection: Connection, phase: Phase, *, careful: bool) -> None:
        """Apply one phase.

        Args:
            connection: in a transaction, which the caller rolls back on any error.
            phase: what to write.
            careful: read first which executions take their change. Nearly always all do, and reading costs half as
                much as writing.

        Raises:
            NotAllTake: some execution does not take its change, and `careful` is False.
            KeyTaken: an idempotency key belongs to another task.
            TokenSpent: a join token has no use left.
            StoreRefused: a row is larger than the database accepts.
            err.MySQLError: the database failed.
        """
        if phase.created:
            await self._create(connection, phase)
        for table in self._tables.generic:
            records = phase.records.get(table)
            if records:
                await self._table(connection, table, records.values())
        if phase.executions:
            rows: Iterable[Execution] = phase.executions.values()
            if careful:
                rows = await self._takers(connection, rows)
            await self._executions(connection, sorted(rows, key=lambda row: (row.command_id, row.host_id)))
        if phase.lates:
            ends = {}
            for keys in _slices(sorted(phase.late_rows), KEYS):
                for row in await connection.run(_fill(self._sql["row_ends"], {"pairs": _pairs(keys)})):
                    ends[row[0], row[1]] = RowEnd(*row[2:])
            await self._lates(connection, phase, ends)
        if phase.orphans:
            rooms = {
                host_id: await self._room(connection, host_id)
                for host_id in {orphan.host_id for orphan in phase.orphans}
            }
            await self._rows(connection, self._sql["note_orphan"], noted(phase.orphans, rooms))
        await self._joins(connection, phase)
        if phase.deleted_tasks:
            commands = await self._by_keys(connection, self._sql["command_ids"], phase.deleted_tasks)
            await self._by_keys(connection, self._sql["delete_executions"], [row[0] for row in commands])
            await self._by_keys(connection, self._sql["note_deleted"], phase.deleted_tasks)
        for where, sql in self._deletes:
            await self._by_keys(connection, sql, phase.deleted.get(where, ()))

    async def _table(self, connection: Connection, table: Table[Any], records: Collection[Any]) -> None:
        """Write records by the rule of their table."""
        sql = self._writes[table]
        if table.rule is WriteRule.APPEND:
            for row in map(table.encode, records):
                await connection.select(sql, dict(zip(table.names, row, strict=True)))
            return
        if table.rule is WriteRule.NEWER_VERSION:
            keys = [table.key_of(record) for record in records]
            versions: dict[str, int] = {
                row[0]: row[1] for row in await self._by_keys(connection, mysql_versions(table), keys)
            }
            stored = zip(records, (versions.get(key) for key in keys), strict=True)
            records = [record for record, version in stored if version is not None and record.version > version]
        await self._rows(connection, sql, map(table.encode, records))

    async def _joins(self, connection: Connection, phase: Phase) -> None:
        for use in phase.joins:
            row = (use.serial, use.token_id, use.host_id, use.used_at)
            if await self._rows(connection, self._sql["note_join"], [row]):
                await connection.select(self._sql["use_join_token"], {"token_id": use.token_id, "used_at": use.used_at})
                if not connection.affected:
                    raise TokenSpent(f"join token {use.token_id} is unknown, out of date or used up")

    async def _lates(self, connection: Connection, phase: Phase, ends: dict[tuple[str, str], RowEnd]) -> None:
        lost = [late for late in phase.lates if late.claimed and (late.command_id, late.host_id) not in ends]
        rooms = {host_id: await self._room(connection, host_id) for host_id in {late.host_id for late in lost}}
        deleted = {
            late.command_id
            for late in lost
            if await connection.select(self._sql["is_deleted"], {"command_id": late.command_id})
        }
        found = sort(phase.lates, ends, rooms, deleted)
        await self._rows(connection, self._writes[OUTPUT], map(OUTPUT.encode, found.outputs))
        for late in found.beside:
            await connection.select(
                self._sql["save_late"], dict(zip(("late_result", "command_id", "host_id"), late, strict=True))
            )
        await self._rows(connection, self._sql["save_orphan"], found.orphans)

    async def _room(self, connection: Connection, host_id: str) -> Room:
        return room(await connection.select(self._sql["orphans_of"], {"host_id": host_id}))

    async def _create(self, connection: Connection, phase: Phase) -> None:
        saves = phase.created.values()
        keys = [
            (save.idempotency_key, save.task.task_id, save.request_digest or b"", save.task.created_at)
            for save in saves
            if save.idempotency_key is not None
        ]
        await self._rows(connection, self._sql["create_key"], keys)
        owners: dict[str, str] = {
            row[0]: row[1] for row in await self._by_keys(connection, self._sql["keys_of"], [key for key, *_ in keys])
        }
        for key, task_id, *_ in keys:
            if owners.get(key) != task_id:
                raise KeyTaken(
                    f"the idempotency key of task {task_id} belongs to task {owners.get(key, 'with a similar key')}"
                )
        await self._rows(connection, self._sql["create_task"], (task_row(save.task) for save in saves))
        await self._rows(
            connection, self._sql["create_targets"], ((save.task.task_id, as_json(save.task.targets)) for save in saves)
        )
        await self._rows(connection, self._sql["create_command"], (COMMAND.encode(save.command) for save in saves))
        # in key order, so that the tree grows at one end
        rows = ((save.command.command_id, host_id) for save in saves for host_id in sorted(save.task.targets))
        await self._rows(connection, self._sql["create_execution"], rows, at_most=4 * ROWS)

    async def _executions(self, connection: Connection, executions: list[Execution]) -> None:
        try:
            changed = await self._rows(connection, self._sql["save_execution"], map(execution_row, executions))
        except err.MySQLError as error:
            if number(error) == NULL_REFUSED:
                raise NotAllTake from error
            raise
        if changed != 2 * len(executions):
            raise NotAllTake

    async def _takers(self, connection: Connection, executions: Iterable[Execution]) -> list[Execution]:
        """Those of these rows that exist, are older and have not ended; they stay locked."""
        takers = []
        for version, group in groupby(sorted(executions, key=_version), key=_version):
            for rows in _slices(group, KEYS):
                which = {"version": literal(version), "pairs": _pairs((row.command_id, row.host_id) for row in rows)}
                found = {tuple(row) for row in await connection.run(_fill(self._sql["find_takers"], which))}
                takers += [row for row in rows if (row.command_id, row.host_id) in found]
        return takers

    async def _rows(self, connection: Connection, sql: str, rows: Iterable[Row], *, at_most: int = ROWS) -> int:
        """Run a statement with `:rows`, as often as its limits require; returns the number of affected rows."""
        before, after = sql.split(":rows")
        room = connection.max_packet - len(before) - len(after) - 1024
        pieces: list[str] = []
        size = affected = 0
        for row in rows:
            piece = literal_row(row)
            length = len(piece) if piece.isascii() else len(piece.encode())
            if length > room:
                raise StoreRefused(f"a row of {length} bytes is more than the server's max_allowed_packet; raise it")
            if pieces and (len(pieces) >= at_most or size + length > min(room, BYTES)):
                await connection.run(before + ",".join(pieces) + after)
                affected += connection.affected
                pieces, size = [], 0
            pieces.append(piece)
            size += length + 1
        if pieces:
            await connection.run(before + ",".join(pieces) + after)
            affected += connection.affected
        return affected

    async def _by_keys(self, connection: Connection, sql: str, keys: Iterable[str]) -> list[Row]:
        """Run a statement with `:keys`, as often as its limit requires; returns all rows."""
        found: list[Row] = []
        for some in _slices(keys, KEYS):
            found += await connection.run(_fill(sql, {"keys": literal_row(some)}))
        return found


def _version(row: Execution) -> int:
    return row.version


def _pairs(keys: Iterable[tuple[str, str]]) -> str:
    """A condition for rows by command and host; for a list of pairs MariaDB reads all rows of a command."""
    hosts: dict[str, list[str]] = {}
    for command_id, host_id in keys:
        hosts.setdefault(command_id, []).append(host_id)
    return " OR ".join(
        f"(command_id = {literal(command)} AND host_id IN {literal_row(some)})" for command, some in hosts.items()
    )


def _fill(sql: str, literals: dict[str, str]) -> str:
    for name, text in literals.items():
        before, after = sql.split(f":{name}")
        sql = before + text + after
    return sql


def _slices(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
