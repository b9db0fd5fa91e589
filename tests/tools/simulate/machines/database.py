"""A database in memory that takes the real saves in transactions, and fails in every way a database fails.

The plan, the late reports and the tables are those of server/store: `plan` sorts the saves, each table's rule says what
they do, `sort` judges late reports, and what is written by hand follows queries/write_*.sql.
tests/tools/simulate/tests/test_database.py compares it with SQLite over whole recorded runs, and the conformance suite
of the tables (tests/store/conformance/tables.py) holds for it too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from server.core.effects import Save, SaveKinds, SaveLate, SaveMeta, UseJoinToken
from server.core.model import Command, Execution, Host, HostIdentity, JoinToken, Output, Task
from server.core.rollback import EPOCH_SEEN
from server.core.states import ExecutionStatus, TaskStatus
from server.store.base import KeyTaken, KnownKey, OpenTask, StoreUnavailable, TokenSpent
from server.store.heal import Healed
from server.store.late_reports import Room, RowEnd, sort
from server.store.lease import Holder, Lease, fenced, judge, next_epoch
from server.store.plan import Phase, plan
from server.store.tables.columns import as_json
from server.store.tables.command import COMMAND_KINDS
from server.store.tables.host import HOST, HOST_SEQ
from server.store.tables.join_token import JOIN_TOKEN
from server.store.tables.meta import META
from server.store.tables.output import OUTPUT
from server.store.tables.registry import TABLES
from server.store.tables.table import Key, Table, WriteRule
from server.store.tables.task import TASK
from tests.tools.simulate import loop

if TYPE_CHECKING:
    from tests.tools.simulate.server import Server
    from tests.tools.simulate.world import World

T = TypeVar("T")
Where = tuple[str, str]
"""(command_id, host_id)"""


@dataclass(slots=True)
class Tables:
    """The contents of the database. Records are never changed in place.

    Attributes:
        records: the records of every table that is written by its rule, by table and key.
        lease: one row.
    """

    records: dict[Table[Any], dict[Key, Any]] = field(default_factory=lambda: {table: {} for table in TABLES.generic})
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    rows: dict[Where, Execution] = field(default_factory=dict)
    lates: dict[Where, str] = field(default_factory=dict)
    orphans: dict[tuple[str, str, int], str] = field(default_factory=dict)
    keys: dict[str, KnownKey] = field(default_factory=dict)
    uses: dict[str, UseJoinToken] = field(default_factory=dict)
    lease: dict[str, Lease] = field(default_factory=lambda: {"": Lease(0, 0, Holder("", "", 0), 0, 0, 0)})

    @property
    def tasks(self) -> dict[str, Task]:
        """Tasks by id."""
        return self.records[TASK]

    @property
    def outputs(self) -> dict[bytes, Output]:
        """Outputs by id."""
        return self.records[OUTPUT]

    @property
    def hosts(self) -> dict[str, Host]:
        """Hosts by id."""
        return self.records[HOST]

    @property
    def seqs(self) -> dict[str, int]:
        """The highest dispatch number of each host."""
        return {host_id: save.max_seq for host_id, save in self.records[HOST_SEQ].items()}

    @property
    def meta(self) -> dict[str, str]:
        """Facts about the installation by name."""
        return {name: fact.value for name, fact in self.records[META].items()}

    def copy(self) -> Tables:
        """A backup."""
        copied = Tables(*(dict(getattr(self, one.name)) for one in fields(self)))
        copied.records = {table: dict(records) for table, records in self.records.items()}
        return copied

    # --- one transaction
    # -------------------------------------------------------------------------------------------------

    def apply(self, saves: list[Save]) -> list[tuple[Execution, Execution]]:
        """(row before, row after) of every row that changed. Raises KeyTaken or TokenSpent; nothing is changed then."""
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
        if any(phase.joins for phase in phases):
            trial = self.copy()
            for phase in phases:
                trial._phase(phase, [])
        changed: list[tuple[Execution, Execution]] = []
        for phase in phases:
            self._phase(phase, changed)
        return changed

    def _phase(self, phase: Phase, changed: list[tuple[Execution, Execution]]) -> None:
        for created in phase.created.values():
            task, command_id = created.task, created.command.command_id
            if created.idempotency_key is not None:
                self.keys.setdefault(created.idempotency_key, KnownKey(task.task_id, created.request_digest or b""))
            self.records[TASK].setdefault(task.task_id, replace(task, targets=()))
            self.targets.setdefault(task.task_id, task.targets)
            self.commands.setdefault(command_id, created.command)
            self.records[COMMAND_KINDS].setdefault(command_id, SaveKinds(command_id, b""))
            for host_id in task.targets:
                self.rows.setdefault((command_id, host_id), Execution(command_id, host_id))
        for table, records in phase.records.items():
            stored = self.records[table]
            only_updates = table.rule in (WriteRule.NEWER_VERSION, WriteRule.APPEND)
            for key, record in records.items():
                if key in stored or not only_updates:
                    stored[key] = table.merge(stored.get(key), record)
        for where, row in phase.executions.items():
            old = self.rows.get(where)
            if old is not None and old.version < row.version and old.status < ExecutionStatus.COMPLETED:
                self.rows[where] = row
                changed.append((old, row))
        if phase.lates:
            self._late(phase.lates)
        for use in phase.joins:
            self._use(use)
        for task_id in phase.deleted_tasks:
            self._delete(task_id)
        for (table, column), values in phase.deleted.items():
            if table in self.records:
                kept = self.records[table].items()
                self.records[table] = {key: record for key, record in kept if getattr(record, column) not in values}

    def _use(self, use: UseJoinToken) -> None:
        """Take one use of a join token."""
        if use.serial in self.uses:
            return
        token: JoinToken | None = self.records[JOIN_TOKEN].get(use.token_id)
        if token is None or token.uses_left <= 0 or token.expires_at <= use.used_at:
            raise TokenSpent(use.token_id)
        self.uses[use.serial] = use
        self.records[JOIN_TOKEN][use.token_id] = replace(token, uses_left=token.uses_left - 1)

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
        for output in found.outputs:
            self.records[OUTPUT].setdefault(output.output_id, output)
        for report, command_id, host_id in found.beside:
            self.lates[command_id, host_id] = report
        for host_id, command_id, attempt, _, _, report, *_ in found.orphans:
            self.orphans[host_id, command_id, attempt] = report

    def _delete(self, task_id: str) -> None:
        if self.records[TASK].pop(task_id, None) is None:
            return
        gone = [command_id for command_id, command in self.commands.items() if command.task_id == task_id]
        for command_id in gone:
            del self.commands[command_id]
            self.records[COMMAND_KINDS].pop(command_id, None)
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
        meta = self.tables.meta
        known = [meta[name] for name in ("epoch", EPOCH_SEEN) if name in meta]
        self.world.checks.lease_taken(lease)
        self.epoch = next_epoch(lease, *known)
        self._put(Lease(self.epoch, 0, holder, round(seconds * 1000), 0, 0))
        self.tables.records[META]["epoch"] = SaveMeta("epoch", str(self.epoch))
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
        seqs = self.tables.seqs
        return [replace(host, max_seq=seqs.get(host.host_id, 0)) for host in self.tables.hosts.values()]

    async def all_of(self, record: type[T]) -> list[T]:
        self._reach()
        return list(self.tables.records[TABLES.by_record[record]].values())

    async def identities(self) -> list[HostIdentity]:
        return await self.all_of(HostIdentity)

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
