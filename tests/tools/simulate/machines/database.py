"""A database in memory that takes the real saves in transactions, and fails in every way a database fails.

The order and the meaning of the saves are those of server/store: `plan` sorts them, `sort_out` judges late reports, and
the conditions
are those of queries/write_*.sql. tests/tools/simulate/tests/test_database.py compares it with SQLite over whole
recorded runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from server.core.effects import Save, SaveLate
from server.core.model import Command, Execution, Host, HostIdentity, Output, Task
from server.core.rollback import EPOCH_SEEN
from server.core.states import ExecutionStatus, TaskStatus
from server.store.base import KeyTaken, KnownKey, OpenTask, StoreUnavailable
from server.store.heal import Healed
from server.store.late_reports import Room, RowEnd, sort
from server.store.lease import Holder, Lease, fenced, judge, next_epoch
from server.store.plan import Phase, plan
from server.store.tables.rows import as_json
from tests.tools.simulate import loop

if TYPE_CHECKING:
    from tests.tools.simulate.server import Server
    from tests.tools.simulate.world import World

Where = tuple[str, str]
"""(command_id, host_id)"""


@dataclass(slots=True)
class Tables:
    tasks: dict[str, Task] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    rows: dict[Where, Execution] = field(default_factory=dict)
    outputs: dict[bytes, Output] = field(default_factory=dict)
    lates: dict[Where, str] = field(default_factory=dict)
    orphans: dict[tuple[str, str, int], str] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    keys: dict[str, KnownKey] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    lease: dict[str, Lease] = field(default_factory=lambda: {"": Lease(0, 0, Holder("", "", 0), 0, 0, 0)})
    """One row."""

    def copy(self) -> Tables:
        """A backup. What the tables hold is never changed in place."""
        return Tables(*(dict(getattr(self, name)) for name in self.__slots__))

    # --- one transaction
    # -------------------------------------------------------------------------------------------------

    def apply(self, saves: list[Save]) -> list[tuple[Execution, Execution]]:
        """(row before, row after) of every row that changed. Raises KeyTaken, and then has changed nothing."""
        phases = plan(saves)
        owners: dict[str, str] = {}
        for phase in phases:
            for created in phase.created.values():
                key = created.idempotency_key
                if key is not None:
                    known = self.keys.get(key)
                    owner = owners.setdefault(key, known.task_id if known is not None else created.task.task_id)
                    if owner != created.task.task_id:
                        raise KeyTaken(key)
        changed: list[tuple[Execution, Execution]] = []
        for phase in phases:
            self._phase(phase, changed)
        return changed

    def _phase(self, phase: Phase, changed: list[tuple[Execution, Execution]]) -> None:
        for created in phase.created.values():
            task, command_id = created.task, created.command.command_id
            if created.idempotency_key is not None:
                self.keys.setdefault(created.idempotency_key, KnownKey(task.task_id, created.request_digest or b""))
            self.tasks.setdefault(task.task_id, replace(task, targets=()))
            self.targets.setdefault(task.task_id, task.targets)
            self.commands.setdefault(command_id, created.command)
            for host_id in task.targets:
                self.rows.setdefault((command_id, host_id), Execution(command_id, host_id))
        for output_id, output in phase.outputs.items():
            self.outputs.setdefault(output_id, output)
        for task_id, task in phase.tasks.items():
            if task_id in self.tasks and self.tasks[task_id].version < task.version:
                self.tasks[task_id] = task
        for where, row in phase.executions.items():
            old = self.rows.get(where)
            if old is not None and old.version < row.version and old.status < ExecutionStatus.COMPLETED:
                self.rows[where] = row
                changed.append((old, row))
        if phase.lates:
            self._late(phase.lates)
        self.hosts.update(phase.hosts)
        for host_id, seq in phase.seqs.items():
            self.seqs[host_id] = max(seq, self.seqs.get(host_id, 0))
        self.meta.update(phase.meta)
        for task_id in phase.deleted_tasks:
            self._delete(task_id)

    def _late(self, lates: list[SaveLate]) -> None:
        ends = {}
        for late in lates:
            row = self.rows.get((late.command_id, late.host_id))
            if row is not None:
                ends[row.command_id, row.host_id] = RowEnd(
                    row.attempt,
                    row.status,
                    row.agent_finished_at,
                    as_json(row.report),
                    as_json(row.earlier),
                    self.lates.get((row.command_id, row.host_id)),
                )
        rooms = {
            late.host_id: Room(filled=frozenset(key[1:] for key in self.orphans if key[0] == late.host_id))
            for late in lates
        }
        found = sort(lates, ends, rooms, frozenset())
        self.outputs.update((output.output_id, output) for output in found.outputs)
        for report, command_id, host_id in found.beside:
            self.lates[command_id, host_id] = report
        for host_id, command_id, attempt, _, _, report, *_ in found.orphans:
            self.orphans[host_id, command_id, attempt] = report

    def _delete(self, task_id: str) -> None:
        if self.tasks.pop(task_id, None) is None:
            return
        gone = [command_id for command_id, command in self.commands.items() if command.task_id == task_id]
        for command_id in gone:
            del self.commands[command_id]
            for host_id in self.targets[task_id]:
                self.rows.pop((command_id, host_id), None)
                self.lates.pop((command_id, host_id), None)
        del self.targets[task_id]
        self.keys = {key: known for key, known in self.keys.items() if known.task_id != task_id}

    def counted(self, task_id: str) -> tuple[int, ...]:
        """What the counters of a task must be: the sum of its rows."""
        counts = [0] * len(ExecutionStatus)
        for command_id, command in self.commands.items():
            if command.task_id == task_id:
                for host_id in self.targets[task_id]:
                    counts[self.rows[command_id, host_id].status] += 1
        return tuple(counts)


@dataclass(slots=True)
class Database:
    """away_until: down until then. clock: on its own wall; a lease runs out by it."""

    clock: loop.Wall
    tables: Tables = field(default_factory=Tables)
    backup: Tables | None = None
    away_until: float = 0.0
    slow_until: float = 0.0


class Store:
    """One server's, as server.store.base.Store, as far as its start, its lease and its writer use it."""

    def __init__(self, world: World, server: Server, sleep: Callable[[float], Awaitable[None]] = loop.sleep) -> None:
        self.world, self.database, self.server, self._sleep = world, world.database, server, sleep
        self.epoch: int | None = None

    @property
    def tables(self) -> Tables:
        return self.database.tables

    async def open(self) -> None:
        self._reach()

    # --- the lease: the conditions are those of queries/lease.*.sql
    # -------------------------------------------------------

    async def take_lease(self, holder: Holder, seconds: float, *, dead: Lease | None = None) -> int:
        await self._sleep(0.002)
        self._reach()
        lease = self._lease()
        judge(lease, dead)
        known = [self.tables.meta[name] for name in ("epoch", EPOCH_SEEN) if name in self.tables.meta]
        self.world.checks.lease_taken(lease)
        self.epoch = next_epoch(lease, *known)
        self._put(Lease(self.epoch, 0, holder, round(seconds * 1000), 0, 0))
        self.tables.meta["epoch"] = str(self.epoch)
        self.world.took_over(self.server)
        return self.epoch

    async def heal(self) -> list[Healed]:
        await self._sleep(0.002)
        self._reach()
        return []

    def unreadable(self) -> list[str]:
        return []

    async def check_database(self) -> None:
        """A simulated database is never replaced."""

    async def renew_lease(self) -> None:
        await self._sleep(0.002)
        self._reach()
        self._fence()
        lease = self._lease()
        self._put(replace(lease, beat=lease.beat + 1))

    async def give_back_lease(self) -> None:
        await self._sleep(0.002)
        self._reach()
        lease = self._lease()
        if lease.epoch == self.epoch:
            self.tables.lease[""] = replace(lease, beat=lease.beat + 1, until_ms=0)

    def _lease(self) -> Lease:
        return replace(self.tables.lease[""], now_ms=self.database.clock.ms())

    def _put(self, lease: Lease) -> None:
        self.tables.lease[""] = replace(lease, until_ms=self.database.clock.ms() + lease.length_ms)
        self.world.checks.lease_kept()

    def _fence(self) -> None:
        assert self.epoch is not None
        if self.tables.lease[""].epoch != self.epoch:
            raise fenced(self.epoch, self._lease())

    # --- one transaction
    # -------------------------------------------------------------------------------------------------

    async def write(self, saves: list[Save]) -> None:
        world = self.world
        await self._sleep(
            world.span(0.0003, 0.004) + (world.span(0.2, 3.0) if world.loop.now < self.database.slow_until else 0.0)
        )
        self._reach()
        if world.strikes("db_error", "db.error"):
            raise StoreUnavailable("deadlock")
        self.server.point("server.before_commit")
        self._fence()
        world.commit(self.server, saves)
        self.server.point("server.after_commit")
        await self._sleep(world.span(0.0001, 0.002))
        if world.strikes("db_unknown", "db.unknown"):
            raise StoreUnavailable("the connection died in COMMIT")
        self._reach()

    def _reach(self) -> None:
        if self.world.loop.now < self.database.away_until:
            raise StoreUnavailable("away")

    # --- reads
    # -----------------------------------------------------------------------------------------------------------

    async def meta(self, key: str) -> str | None:
        self._reach()
        return self.tables.meta.get(key)

    async def hosts(self) -> list[Host]:
        self._reach()
        return [replace(host, max_seq=self.tables.seqs.get(host.host_id, 0)) for host in self.tables.hosts.values()]

    async def identities(self) -> list[HostIdentity]:
        return []

    async def known_key(self, idempotency_key: str) -> KnownKey | None:
        self._reach()
        return self.tables.keys.get(idempotency_key)

    async def count_tasks(self) -> dict[TaskStatus, int]:
        self._reach()
        counts: dict[TaskStatus, int] = {}
        for task in self.tables.tasks.values():
            counts[task.status] = counts.get(task.status, 0) + 1
        return counts

    async def sum_executions(self) -> dict[ExecutionStatus, int]:
        self._reach()
        return {status: sum(task.counts[status] for task in self.tables.tasks.values()) for status in ExecutionStatus}

    async def open_tasks(self) -> list[OpenTask]:
        self._reach()
        tables, found = self.tables, []
        for task_id in sorted(tables.tasks):
            task = tables.tasks[task_id]
            if task.status.final:
                continue
            targets = tables.targets[task_id]
            for command_id, command in tables.commands.items():
                if command.task_id == task_id:
                    rows = [tables.rows[command_id, host_id] for host_id in sorted(targets)]
                    opened = [row.snapshot() for row in rows if not row.status.final]
                    untouched = (
                        task.status is TaskStatus.PENDING and task.counts[ExecutionStatus.PENDING] == task.total_hosts
                    )
                    found.append(OpenTask(replace(task, targets=targets), command, [] if untouched else opened))
        return found
