"""Carries out one phase of a plan in an open MySQL transaction, in statements that take many rows each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from server.store.tables.rows import (
    Row,
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

ROWS, BYTES = 500, 1 << 20
"""Of one statement. Building one blocks the loop for a few milliseconds; the next is built after the server's
answer."""

KEYS = 500
"""Of one list of keys. MariaDB turns lists above 1,000 into a subquery (in_predicate_conversion_threshold)."""


class NotAllTake(Exception):
    """Some row does not take its change, or does not exist: roll back and repeat with `careful`."""


class MySQLWrite:
    def __init__(self) -> None:
        self._sql = MYSQL.load("write_mysql")

    async def apply(self, connection: Connection, phase: Phase, *, careful: bool) -> None:
        """careful: look first which rows take their change. Nearly always all do, and looking costs half as much as
        writing.

        Raises NotAllTake when not careful, KeyTaken, TokenSpent, StoreRefused for a row larger than the server takes,
        err.MySQLError; the caller rolls back."""
        if phase.created:
            await self._create(connection, phase)
        await self._rows(connection, "save_output", (output_row(output) for output in phase.outputs.values()))
        if phase.tasks:
            versions: dict[str, int] = {
                row[0]: row[1] for row in await self._by_keys(connection, "task_versions", phase.tasks)
            }
            newer = (task for task in phase.tasks.values() if task.version > versions.get(task.task_id, task.version))
            await self._rows(connection, "save_task", (task_row(task) for task in newer))
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
            await self._rows(connection, "note_orphan", noted(phase.orphans, rooms))
        await self._rows(connection, "save_host", (host_row(host) for host in phase.hosts.values()))
        await self._rows(connection, "save_seq", phase.seqs.items())
        await self._rows(connection, "save_seen", phase.seen.items())
        for host_id, epoch in phase.epochs.items():
            await connection.select(self._sql["save_epoch_seen"], {"host_id": host_id, "max_epoch": epoch})
        await self._rows(connection, "create_join_token", (join_token_row(token) for token in phase.tokens.values()))
        for use in phase.joins:
            if await self._rows(connection, "note_join", [(use.serial, use.token_id, use.host_id, use.used_at)]):
                await connection.select(self._sql["use_join_token"], {"token_id": use.token_id, "used_at": use.used_at})
                if not connection.affected:
                    raise TokenSpent(f"join token {use.token_id} is unknown, out of date or used up")
        await self._rows(
            connection, "save_join_request", (join_request_row(request) for request in phase.requests.values())
        )
        await self._rows(
            connection, "save_identity", (identity_row(identity) for identity in phase.identities.values())
        )
        await self._rows(connection, "save_meta", phase.meta.items())
        for command_id, kinds in phase.kinds.items():
            await connection.select(self._sql["save_kinds"], {"command_id": command_id, "answer_kinds": kinds})
        if phase.deleted_tasks:
            commands = [row[0] for row in await self._by_keys(connection, "command_ids", phase.deleted_tasks)]
            await self._by_keys(connection, "delete_executions", commands)
            for name in ("note_deleted", "delete_commands", "delete_targets", "delete_keys", "delete_task"):
                await self._by_keys(connection, name, phase.deleted_tasks)
        for name in ("delete_identity", "delete_seen", "delete_host"):
            await self._by_keys(connection, name, phase.deleted_hosts)
        await self._by_keys(connection, "delete_join_token", phase.deleted_tokens)
        await self._by_keys(connection, "delete_join_request", phase.deleted_requests)
        await self._by_keys(connection, "delete_orphans", phase.deleted_orphans)

    async def _lates(self, connection: Connection, phase: Phase, ends: dict[tuple[str, str], RowEnd]) -> None:
        lost = [late for late in phase.lates if late.claimed and (late.command_id, late.host_id) not in ends]
        rooms = {host_id: await self._room(connection, host_id) for host_id in {late.host_id for late in lost}}
        deleted = {
            late.command_id
            for late in lost
            if await connection.select(self._sql["is_deleted"], {"command_id": late.command_id})
        }
        found = sort(phase.lates, ends, rooms, deleted)
        await self._rows(connection, "save_output", (output_row(output) for output in found.outputs))
        for late in found.beside:
            await connection.select(
                self._sql["save_late"], dict(zip(("late_result", "command_id", "host_id"), late, strict=True))
            )
        await self._rows(connection, "save_orphan", found.orphans)

    async def _room(self, connection: Connection, host_id: str) -> Room:
        return room(await connection.select(self._sql["orphans_of"], {"host_id": host_id}))

    async def _create(self, connection: Connection, phase: Phase) -> None:
        saves = phase.created.values()
        keys = [
            (save.idempotency_key, save.task.task_id, save.request_digest or b"", save.task.created_at)
            for save in saves
            if save.idempotency_key is not None
        ]
        await self._rows(connection, "create_key", keys)
        owners: dict[str, str] = {
            row[0]: row[1] for row in await self._by_keys(connection, "keys_of", [key for key, *_ in keys])
        }
        for key, task_id, *_ in keys:
            if owners.get(key) != task_id:
                raise KeyTaken(
                    f"the idempotency key of task {task_id} belongs to task {owners.get(key, 'with a similar key')}"
                )
        await self._rows(connection, "create_task", (task_row(save.task) for save in saves))
        await self._rows(
            connection, "create_targets", ((save.task.task_id, as_json(save.task.targets)) for save in saves)
        )
        await self._rows(connection, "create_command", (command_row(save.command) for save in saves))
        # in the order of the key, so that the tree grows at one end
        rows = ((save.command.command_id, host_id) for save in saves for host_id in sorted(save.task.targets))
        await self._rows(connection, "create_execution", rows, at_most=4 * ROWS)

    async def _executions(self, connection: Connection, executions: list[Execution]) -> None:
        try:
            changed = await self._rows(connection, "save_execution", map(execution_row, executions))
        except err.MySQLError as error:
            if number(error) == NULL_REFUSED:
                raise NotAllTake from error
            raise
        if changed != 2 * len(executions):
            raise NotAllTake

    async def _takers(self, connection: Connection, executions: Iterable[Execution]) -> list[Execution]:
        """Of these rows the ones that exist, are older and have not ended; they stay locked."""
        takers = []
        for version, group in groupby(sorted(executions, key=_version), key=_version):
            for rows in _slices(group, KEYS):
                which = {"version": literal(version), "pairs": _pairs((row.command_id, row.host_id) for row in rows)}
                found = {tuple(row) for row in await connection.run(_fill(self._sql["find_takers"], which))}
                takers += [row for row in rows if (row.command_id, row.host_id) in found]
        return takers

    async def _rows(self, connection: Connection, name: str, rows: Iterable[Row], *, at_most: int = ROWS) -> int:
        """Run a statement with `:rows`, as often as its limits ask for. How many rows it affected."""
        before, after = self._sql[name].split(":rows")
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

    async def _by_keys(self, connection: Connection, name: str, keys: Iterable[str]) -> list[Row]:
        """Run a statement with `:keys`, as often as its limit asks for; all rows."""
        found: list[Row] = []
        for some in _slices(keys, KEYS):
            found += await connection.run(_fill(self._sql[name], {"keys": literal_row(some)}))
        return found


def _version(row: Execution) -> int:
    return row.version


def _pairs(keys: Iterable[tuple[str, str]]) -> str:
    """Rows by command and host. Not `(command_id, host_id) IN (…)`, for which MariaDB reads all rows of a command."""
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
