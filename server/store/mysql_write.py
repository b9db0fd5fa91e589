"""Carries out one phase of a plan in an open MySQL transaction, in statements that take many rows each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from server.core.model import CommandHost
from server.store.base import KeyTaken, StoreRefused
from server.store.lates import RowEnd, sort_out
from server.store.mysql_connection import Connection, literal, literal_row
from server.store.plan import Phase
from server.store.rows import (
    Row,
    as_json,
    command_row,
    execution_row,
    host_row,
    output_row,
    task_row,
)
from server.store.sql import MYSQL

ROWS, BYTES = 500, 1 << 20
"""Of one statement. Building one blocks the loop for a few milliseconds; the next is built after the server's answer."""

KEYS = 500
"""Of one list of keys. MariaDB turns lists above 1,000 into a subquery (in_predicate_conversion_threshold)."""


class MySQLWrite:
    def __init__(self) -> None:
        self._sql = MYSQL.load("write_mysql")

    async def apply(self, connection: Connection, phase: Phase) -> None:
        """Raises KeyTaken, StoreRefused for a row larger than the server takes, err.MySQLError; the caller rolls back."""
        if phase.created:
            await self._create(connection, phase)
        await self._rows(connection, "save_output", (output_row(output) for output in phase.outputs.values()))
        if phase.tasks:
            versions: dict[str, int] = {row[0]: row[1] for row in await self._by_keys(connection, "task_versions", phase.tasks)}
            newer = (task for task in phase.tasks.values() if task.version > versions.get(task.task_id, task.version))
            await self._rows(connection, "save_task", (task_row(task) for task in newer))
        if phase.executions:
            takers = await self._takers(connection, phase.executions.values())
            await self._rows(connection, "save_execution", (execution_row(row) for row in takers))
        if phase.lates:
            ends = {(row[0], row[1]): RowEnd(*row[2:]) for row in await self._by_keys(connection, "row_ends", phase.late_rows)}
            beside, orphans = sort_out(phase.lates, ends)
            for late in beside:
                await connection.select(self._sql["save_late"], dict(zip(("late_result", "command_id", "host_id"), late, strict=True)))
            await self._rows(connection, "save_orphan", orphans)
        await self._rows(connection, "save_host", (host_row(host) for host in phase.hosts.values()))
        await self._rows(connection, "save_seq", phase.seqs.items())
        await self._rows(connection, "save_meta", phase.meta.items())
        if phase.deleted_tasks:
            commands = [row[0] for row in await self._by_keys(connection, "command_ids", phase.deleted_tasks)]
            await self._by_keys(connection, "delete_executions", commands)
            for name in ("delete_commands", "delete_targets", "delete_keys", "delete_task"):
                await self._by_keys(connection, name, phase.deleted_tasks)
        await self._by_keys(connection, "delete_host", phase.deleted_hosts)

    async def _create(self, connection: Connection, phase: Phase) -> None:
        saves = phase.created.values()
        keys = [
            (save.idempotency_key, save.task.task_id, save.request_digest or b"", save.task.created_at)
            for save in saves
            if save.idempotency_key is not None
        ]
        await self._rows(connection, "create_key", keys)
        owners: dict[str, str] = {row[0]: row[1] for row in await self._by_keys(connection, "keys_of", [key for key, *_ in keys])}
        for key, task_id, *_ in keys:
            if owners.get(key) != task_id:
                raise KeyTaken(f"the idempotency key of task {task_id} belongs to task {owners.get(key, 'with a similar key')}")
        await self._rows(connection, "create_task", (task_row(save.task) for save in saves))
        await self._rows(connection, "create_targets", ((save.task.task_id, as_json(save.task.targets)) for save in saves))
        await self._rows(connection, "create_command", (command_row(save.command) for save in saves))
        # in the order of the key, so that the tree grows at one end
        rows = ((save.command.command_id, host_id) for save in saves for host_id in sorted(save.task.targets))
        await self._rows(connection, "create_execution", rows, at_most=4 * ROWS)

    async def _takers(self, connection: Connection, executions: Iterable[CommandHost]) -> list[CommandHost]:
        """Of these rows the ones that exist, are older and have not ended; they stay locked.

        An upsert alone could not tell: it would also bring back a row that has been deleted. Nearly always it is all of
        them, which one number says.
        """
        takers = []
        for version, group in groupby(sorted(executions, key=_version), key=_version):
            for rows in _slices(group, KEYS):
                keys = {"version": literal(version), "keys": _list(literal_row((row.command_id, row.host_id)) for row in rows)}
                ((count,),) = await connection.run(_fill(self._sql["count_takers"], keys))
                if count < len(rows):
                    found = {tuple(row) for row in await connection.run(_fill(self._sql["find_takers"], keys))}
                    rows = [row for row in rows if (row.command_id, row.host_id) in found]
                takers += rows
        takers.sort(key=lambda row: (row.command_id, row.host_id))
        return takers

    async def _rows(self, connection: Connection, name: str, rows: Iterable[Row], *, at_most: int = ROWS) -> None:
        """Run a statement with `:rows`, as often as its limits ask for."""
        before, after = self._sql[name].split(":rows")
        room = connection.max_packet - len(before) - len(after) - 1024
        pieces: list[str] = []
        size = 0
        for row in rows:
            piece = literal_row(row)
            length = len(piece) if piece.isascii() else len(piece.encode())
            if length > room:
                raise StoreRefused(f"a row of {length} bytes is more than the server's max_allowed_packet; raise it")
            if pieces and (len(pieces) >= at_most or size + length > min(room, BYTES)):
                await connection.run(before + ",".join(pieces) + after)
                pieces, size = [], 0
            pieces.append(piece)
            size += length + 1
        if pieces:
            await connection.run(before + ",".join(pieces) + after)

    async def _by_keys(self, connection: Connection, name: str, keys: Iterable[str | tuple[str, str]]) -> list[Row]:
        """Run a statement with `:keys`, as often as its limit asks for; all rows."""
        found: list[Row] = []
        for some in _slices(keys, KEYS):
            filled = _fill(self._sql[name], {"keys": _list(literal(key) if isinstance(key, str) else literal_row(key) for key in some)})
            found += await connection.run(filled)
        return found


def _version(row: CommandHost) -> int:
    return row.version


def _list(literals: Iterable[str]) -> str:
    return "(" + ",".join(literals) + ")"


def _fill(sql: str, literals: dict[str, str]) -> str:
    for name, text in literals.items():
        before, after = sql.split(f":{name}")
        sql = before + text + after
    return sql


def _slices(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
