"""A database in memory that takes the real saves in transactions, and fails in every way a database fails.

The order and the meaning of the saves are those of server/store: `plan` sorts them, `sort_out` judges late reports, and the conditions
are those of queries/write_*.sql. tests/simulate/test_database.py compares it with SQLite over whole recorded runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from server.core.effects import Save, SaveLate, SaveMeta
from server.core.model import Command, CommandHost, Host, HostIdentity, Output, Task
from server.core.safety import EPOCH_SEEN
from server.core.states import ExecutionStatus, TaskStatus
from server.store.base import KeyTaken, KnownKey, OpenTask, StoreUnavailable
from server.store.lates import RowEnd, sort_out
from server.store.lease import Holder, Lease
from server.store.plan import Phase, plan
from server.store.rows import as_json
from tests.simulate import loop

if TYPE_CHECKING:
    from tests.simulate.world import World

Where = tuple[str, str]
"""(command_id, host_id)"""


@dataclass(slots=True)
class Tables:
    tasks: dict[str, Task] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    rows: dict[Where, CommandHost] = field(default_factory=dict)
    outputs: dict[bytes, Output] = field(default_factory=dict)
    lates: dict[Where, str] = field(default_factory=dict)
    orphans: dict[tuple[str, str, int], str] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    keys: dict[str, KnownKey] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Tables:
        """A backup. What the tables hold is never changed in place."""
        return Tables(*(dict(getattr(self, name)) for name in self.__slots__))

    # --- one transaction -------------------------------------------------------------------------------------------------

    def apply(self, saves: list[Save]) -> list[tuple[CommandHost, CommandHost]]:
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
        changed: list[tuple[CommandHost, CommandHost]] = []
        for phase in phases:
            self._phase(phase, changed)
        return changed

    def _phase(self, phase: Phase, changed: list[tuple[CommandHost, CommandHost]]) -> None:
        for created in phase.created.values():
            task, command_id = created.task, created.command.command_id
            if created.idempotency_key is not None:
                self.keys.setdefault(created.idempotency_key, KnownKey(task.task_id, created.request_digest or b""))
            self.tasks.setdefault(task.task_id, replace(task, targets=()))
            self.targets.setdefault(task.task_id, task.targets)
            self.commands.setdefault(command_id, created.command)
            for host_id in task.targets:
                self.rows.setdefault((command_id, host_id), CommandHost(command_id, host_id))
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
                ends[row.command_id, row.host_id] = RowEnd(row.attempt, row.status, row.agent_finished_at, as_json(row.report), as_json(row.earlier))
        beside, orphans = sort_out(lates, ends)
        for report, command_id, host_id in beside:
            self.lates[command_id, host_id] = report
        for host_id, command_id, attempt, _, _, report in orphans:
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


class Store:
    """As server.store.base.Store, as far as the server's start and its writer use it. away_until: down until then."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = Tables()
        self.backup: Tables | None = None
        self.away_until = self.slow_until = 0.0

    async def open(self) -> None:
        self._reach()

    async def take_lease(self, holder: Holder, seconds: float, *, dead: Lease | None = None) -> int:
        """There is one server at a time here; tests/store/leases.py and tests/system/test_two_servers.py have several."""
        epoch = max(int(await self.meta("epoch") or 0), int(await self.meta(EPOCH_SEEN) or 0)) + 1
        await self.write([SaveMeta("epoch", str(epoch))])
        return epoch

    async def write(self, saves: list[Save]) -> None:
        world = self.world
        await loop.sleep(world.span(0.0003, 0.004) + (world.span(0.2, 3.0) if world.loop.now < self.slow_until else 0.0))
        self._reach()
        if world.strikes("db_error", "db.error"):
            raise StoreUnavailable("deadlock")
        world.server_point("server.before_commit")
        world.commit(saves)
        world.server_point("server.after_commit")
        await loop.sleep(world.span(0.0001, 0.002))
        if world.strikes("db_unknown", "db.unknown"):
            raise StoreUnavailable("the connection died in COMMIT")
        self._reach()

    def _reach(self) -> None:
        if self.world.loop.now < self.away_until:
            raise StoreUnavailable("away")

    # --- reads -----------------------------------------------------------------------------------------------------------

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
                    untouched = task.status is TaskStatus.PENDING and task.counts[ExecutionStatus.PENDING] == task.total_hosts
                    found.append(OpenTask(replace(task, targets=targets), command, [] if untouched else opened))
        return found

    def everything(self) -> dict[str, Any]:
        """For comparison with another store."""
        tables = self.tables
        return {"tasks": tables.tasks, "rows": tables.rows, "outputs": tables.outputs, "lates": tables.lates, "orphans": tables.orphans}
