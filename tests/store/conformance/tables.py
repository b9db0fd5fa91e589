"""The contract of every table that is written by its rule alone; the simulated database keeps it too.

A history of random saves and deletes has the same result as the saves one by one in a dictionary. A new table joins
this test with one line in SAMPLES.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pytest

from server.core.effects import (
    CreateJoinToken,
    DeleteHost,
    DeleteJoinRequest,
    DeleteJoinToken,
    DeleteRecord,
    Save,
    SaveHost,
    SaveIdentity,
    SaveJoinRequest,
    SaveKinds,
    SaveMeta,
    SaveOutput,
    SaveRecord,
    SaveSeen,
    SaveSeq,
    SaveTask,
)
from server.core.model import Host, HostIdentity, JoinRequest, JoinToken
from server.core.nouns.host_set import HostSet
from server.store.nouns.host_set import HOST_SET
from server.store.tables.command import COMMAND_KINDS
from server.store.tables.host import HOST, HOST_SEEN, HOST_SEQ
from server.store.tables.identity import HOST_IDENTITY
from server.store.tables.join_request import JOIN_REQUEST
from server.store.tables.join_token import JOIN_TOKEN
from server.store.tables.meta import META
from server.store.tables.output import OUTPUT
from server.store.tables.registry import Tables
from server.store.tables.table import Table, WriteRule
from server.store.tables.task import TASK
from tests.changed import replace
from tests.store.make import create, new_id, output

T = TypeVar("T")
NASTY = "ä '\"\\%s :x {y} \x00\n"
IDS = [new_id() for _ in range(4)]
SHORT = ["a", "b", "c", "d"]
TASKS = [create(IDS[:2]) for _ in IDS]
OUTPUTS = [output(text.encode()) for text in SHORT]


class RecordStore(Protocol):
    """What this contract asks of a store."""

    tables: Tables

    async def write(self, saves: list[Save]) -> None: ...

    async def all_of(self, record: type[T]) -> list[T]: ...


def _host(at: int, n: int) -> Save:
    return SaveHost(
        Host(IDS[at], f"web{n}", labels={NASTY: str(n)}, created_at=n, former=(NASTY,) * (n % 3), max_seq=n)
    )


def _identity(at: int, n: int) -> Save:
    return SaveIdentity(HostIdentity(IDS[at], n, n, f"{n:x}", n, n, "token", revoked_by=NASTY if n % 2 else None))


def _token(at: int, n: int) -> Save:
    token = JoinToken(SHORT[at], bytes([n]) * 32, n, n, {NASTY: "x"}, NASTY, n, ("10.0.0.0/8",) * (n % 2), n % 2 == 0)
    return CreateJoinToken(token)


def _request(at: int, n: int) -> Save:
    request = JoinRequest(SHORT[at], "token", bytes([n]), NASTY, "", "::1", n, n, approved=n % 2 == 0)
    return SaveJoinRequest(request)


def _set(at: int, n: int) -> Save:
    return SaveRecord(HostSet(SHORT[at], NASTY if n % 2 else "", (NASTY,) * n, NASTY, n + 1, NASTY, n))


SAMPLES: Mapping[Table[Any], Callable[[int, int], Save]] = {
    OUTPUT: lambda at, n: SaveOutput(OUTPUTS[at]),
    TASK: lambda at, n: SaveTask(replace(TASKS[at].task, name=f"{NASTY}{n}", version=n, targets=())),
    COMMAND_KINDS: lambda at, n: SaveKinds(TASKS[at].command.command_id, bytes(range(n))),
    HOST: _host,
    HOST_SEQ: lambda at, n: SaveSeq(IDS[at], n, 7 - n),
    HOST_SEEN: lambda at, n: SaveSeen(IDS[at], n),
    HOST_IDENTITY: _identity,
    JOIN_TOKEN: _token,
    JOIN_REQUEST: _request,
    HOST_SET: _set,
    META: lambda at, n: SaveMeta(f"{SHORT[at]}{NASTY}", f"{NASTY}{n}"),
}
"""A save of each table, for one of four keys and a number from 0 to 7."""

SAMPLE_DELETES: list[Callable[[int], Save]] = [
    lambda at: DeleteHost(IDS[at]),
    lambda at: DeleteJoinToken(SHORT[at]),
    lambda at: DeleteRecord(HostSet, SHORT[at]),
    lambda at: DeleteJoinRequest(SHORT[at]),
]


class Model:
    """The tables as dictionaries, to which saves are applied one by one."""

    def __init__(self, tables: Tables) -> None:
        self.known = tables
        self.tables: dict[Table[Any], dict[Any, Any]] = {table: {} for table in tables.generic}
        for made in TASKS:
            self.tables[TASK][made.task.task_id] = replace(made.task, targets=())
            self.tables[COMMAND_KINDS][made.command.command_id] = SaveKinds(made.command.command_id, b"")

    def apply(self, save: Save) -> None:
        """Apply one save or delete."""
        if isinstance(save, SaveRecord):
            self._write(self.known.by_record[type(save.record)], save.record)
        if isinstance(save, DeleteRecord):
            self.tables[self.known.by_record[save.kind]].pop(save.key, None)
        for table, attribute in self.known.writes.get(type(save), ()):
            self._write(table, getattr(save, attribute) if attribute else save)
        for table, column in self.known.deletes.get(type(save), ()):
            rows = self.tables.get(table, {})
            for key in [key for key, row in rows.items() if getattr(row, column) == getattr(save, column)]:
                del rows[key]

    def _write(self, table: Table[Any], record: Any) -> None:
        rows, key = self.tables[table], table.key_of(record)
        known = rows.get(key)
        if table is HOST_SEQ:
            first = known or SaveSeq(key, 0)
            rows[key] = SaveSeq(key, max(first.max_seq, record.max_seq), max(first.max_epoch, record.max_epoch))
        elif table is HOST_SEEN:
            rows[key] = SaveSeen(key, max(known.last_seen_at if known else 0, record.last_seen_at))
        elif table.rule is WriteRule.INSERT_ONCE:
            rows.setdefault(key, record)
        elif table.rule is WriteRule.OVERWRITE:
            rows[key] = replace(record, max_seq=0) if table is HOST else record
        elif table.rule is WriteRule.NEWER_VERSION:
            if known and record.version > known.version:
                rows[key] = record
        elif known and len(record.kinds) > len(known.kinds):
            rows[key] = record


class TableConformance:
    """Holds for SQLite, MySQL and the simulated database.

    Attributes:
        samples: A save of each table.
        sample_deletes: Deletes of a record of each kind.
    """

    samples: Mapping[Table[Any], Callable[[int, int], Save]] = SAMPLES
    sample_deletes: Sequence[Callable[[int], Save]] = SAMPLE_DELETES

    @pytest.mark.parametrize("seed", range(6))
    async def test_a_history_of_saves_has_the_effect_of_each_in_turn(self, store: RecordStore, seed: int) -> None:
        rng = random.Random(seed)
        model = Model(store.tables)
        await store.write(list(TASKS))
        for _ in range(25):
            saves: list[Save] = []
            for _ in range(rng.randint(1, 12)):
                at = rng.randrange(4)
                if rng.random() < 0.15:
                    saves.append(rng.choice(self.sample_deletes)(at))
                else:
                    saves.append(self.samples[rng.choice(store.tables.generic)](at, rng.randrange(8)))
            await store.write(saves)
            if rng.random() < 0.2:
                await store.write(saves[-1:])  # a replay of a transaction with an unknown outcome
            for save in saves:
                model.apply(save)
        for table, rows in model.tables.items():
            found = {table.key_of(row): _plain(row) for row in await store.all_of(table.record)}
            if table is META:  # a store has facts of its own
                found = {key: row for key, row in found.items() if key in rows}
            assert found == rows, (table.name, seed)

    async def test_a_newer_version_or_longer_bytes_never_insert(self, store: RecordStore) -> None:
        await store.write([SAMPLES[TASK](0, 3), SAMPLES[COMMAND_KINDS](0, 3)])
        assert TASKS[0].task.task_id not in {task.task_id for task in await store.all_of(TASK.record)}


def _plain(record: Any) -> Any:
    """A host without its dispatch number, which is in a table of its own."""
    return replace(record, max_seq=0) if isinstance(record, Host) else record
