"""A store in memory that checks every save against what it had before, and random histories of the engine."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from server.core.effects import (
    Ack,
    Alarm,
    Cancel,
    Cut,
    Dispatch,
    Effects,
    Forget,
    Forgotten,
    Inquire,
    Progress,
    SaveExecution,
    SaveLate,
    SaveOrphan,
    SaveOutput,
    SaveSeq,
    SaveTask,
    Welcome,
)
from server.core.engine import Engine
from server.core.events import (
    Accepted,
    Event,
    ExecutionsCanceled,
    HostConnected,
    HostDisconnected,
    HostLoaded,
    JournalEntry,
    JournalStage,
    Now,
    Outcome,
    Rejected,
    Result,
    ServerStopping,
    Started,
    TaskCanceled,
    TaskCreated,
    TaskDeleted,
    TaskLoaded,
    TaskStarted,
    Tick,
)
from server.core.limits import EngineLimits
from server.core.model import Command, Execution, Retry, Task
from server.core.states import EXECUTION_STEPS, TASK_STEPS, ExecutionStatus, TaskStatus

REACHABLE = {(old, new) for (old, _), new in EXECUTION_STEPS.items()}
REACHABLE |= {(old, new) for old, middle in REACHABLE for start, new in REACHABLE if start == middle}
REACHABLE |= {(old, new) for old, middle in REACHABLE for start, new in REACHABLE if start == middle}
TASK_REACHABLE = {(old, new) for (old, _), new in TASK_STEPS.items()}
TASK_REACHABLE |= {(old, new) for old, middle in TASK_REACHABLE for start, new in TASK_REACHABLE if start == middle}


def task(task_id: str, hosts: tuple[str, ...], **how: object) -> Task:
    """Return a pending task for these hosts; `how` sets further fields."""
    counts = (len(hosts), *[0] * (len(ExecutionStatus) - 1))
    return Task(task_id, "t", "", "command", TaskStatus.PENDING, "me", 0, 0, "all", hosts, counts=counts, **how)  # type: ignore[arg-type]


class Shadow:
    """Rows and tasks as a database would have them after each call's effects."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Execution] = {}
        self.tasks: dict[str, Task] = {}
        self.command_of: dict[str, str] = {}
        self.late: list[SaveLate] = []
        self.acts: list[object] = []

    def create(self, created: Task, command: Command) -> None:
        self.tasks[created.task_id] = replace(created)
        self.command_of[command.command_id] = created.task_id
        for host_id in created.targets:
            self.rows[command.command_id, host_id] = Execution(command.command_id, host_id)

    def apply(self, effects: Effects) -> None:
        touched: set[str] = set()
        for save in effects.saves:
            if isinstance(save, SaveExecution):
                self._row(save.execution)
                touched.add(self.command_of[save.execution.command_id])
            elif isinstance(save, SaveTask):
                self._task(save.task)
                touched.add(save.task.task_id)
            elif isinstance(save, SaveLate):
                self.late.append(save)
            else:
                assert isinstance(save, SaveOutput | SaveOrphan | SaveSeq)
        for task_id in touched:
            self._counters(task_id)
        for act in effects.acts:
            assert isinstance(
                act, Welcome | Dispatch | Cancel | Ack | Forget | Cut | Inquire | Alarm | Progress | Forgotten
            )
            if isinstance(act, Forget):
                open_seqs = [
                    row.seq
                    for (_, host), row in self.rows.items()
                    if host == act.host_id and not row.status.final and row.seq
                ]
                assert all(seq > act.low for seq in open_seqs), "an open execution's number is said to be over"
        self.acts.extend(effects.acts)

    def _row(self, row: Execution) -> None:
        old = self.rows[row.command_id, row.host_id]
        assert row.version > old.version
        assert not old.status.final, "a final row changed"
        assert row.status is old.status or (old.status, row.status) in REACHABLE
        self._attempts(old, row)
        if row.status.final:
            assert row.finished_at is not None and not row.unreachable
        if row.status is ExecutionStatus.DISPATCH_FAILED:
            assert row.accepted_at is None and row.started_at is None, "what was accepted is called never started"
        if row.status is ExecutionStatus.DISPATCHED:
            assert row.seq is not None and row.journal_id is not None
        self.rows[row.command_id, row.host_id] = row

    def _attempts(self, old: Execution, row: Execution) -> None:
        assert row.attempt == len(row.earlier) + 1 and row.earlier[: len(old.earlier)] == old.earlier
        policy = self.tasks[self.command_of[row.command_id]].retry
        for ended in row.earlier[len(old.earlier) :]:
            assert policy is not None and row.attempt <= policy.attempts and ended["error_code"] in policy.codes
            assert policy.idempotent or (ended["status"] == "dispatch_failed" and ended["accepted_at"] is None), (
                "it may have run"
            )
        if row.retry_at is not None:
            assert row.status is ExecutionStatus.PENDING and row.earlier

    def _task(self, new: Task) -> None:
        old = self.tasks[new.task_id]
        assert new.version > old.version
        assert not old.status.final, "a final task changed"
        assert new.status is old.status or (old.status, new.status) in TASK_REACHABLE
        self.tasks[new.task_id] = new

    def _counters(self, task_id: str) -> None:
        counts = [0] * len(ExecutionStatus)
        for (command_id, _), row in self.rows.items():
            if self.command_of[command_id] == task_id:
                counts[row.status] += 1
        held = self.tasks[task_id]
        assert tuple(counts) == held.counts, f"{task_id}: rows {counts}, counters {held.counts}"
        if held.status.final:
            assert sum(counts[:3]) == 0
        if held.status is TaskStatus.COMPLETED:
            assert counts[ExecutionStatus.COMPLETED] == held.total_hosts


HOSTS = ("h1", "h2", "h3")
REASONS = ("busy", "expired", "canceled_before_start", "refused", "unknown")


class History:
    """One random history: operators, agents and the clock act at any moment, sensibly or not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        pick = self.random
        limits = EngineLimits(
            in_flight=pick.choice([1, 3, 50]), in_flight_per_host=pick.choice([1, 2, 16]), waiting=pick.choice([0, 2, 50]), waiting_per_host=pick.choice([1, 50]), slice=pick.choice([1, 2, 500]),  # noqa: E501
            lost_after=100, unanswered_after=150, forget_every=pick.choice([1, 3, 64]), mass_hosts=pick.choice([1, 2, 10]), start_grace=20, seq_block=pick.choice([1, 4]),  # noqa: E501
        )  # fmt: skip
        self.limits = limits
        self.engine, self.shadow = Engine(limits, pick.random, 1), Shadow()
        self.now = Now(0.0, 1_000)
        self.session = 0
        self.sessions: dict[str, int] = {}
        self.made = 0
        self.commands: dict[str, Command] = {}
        self.waits: dict[tuple[str, str, int], float] | None = {}
        """Attempts that wait, and since when; None once the server was started again: then the wall clock tells, which
        jumps here."""
        self.loading = False
        if pick.random() < 0.3:
            self.engine.begin_grace(self.now)

    def handle(self, *events: Event) -> None:
        effects = self.engine.handle(events, self.now)
        self.shadow.apply(effects)
        if self.random.random() < 0.8:  # else the store is still busy with it
            effects.send_time.at = self.now.mono
        if not self.loading:
            self._check_waits()

    def _check_waits(self) -> None:
        shadow = self.shadow
        waiting = {
            (*key, row.attempt)
            for key, row in shadow.rows.items()
            if row.status is ExecutionStatus.PENDING
            and shadow.tasks[shadow.command_of[key[0]]].status is TaskStatus.RUNNING
        }
        oldest = self.engine.oldest_waiting()
        assert (oldest is None) is not bool(waiting)
        if self.waits is not None:
            self.waits = {key: self.waits.get(key, self.now.mono) for key in waiting}
            assert oldest == min(self.waits.values(), default=None)

    def restart(self) -> None:
        """Kill the server and start another one with what the store has."""
        shadow, self.waits, self.loading = self.shadow, None, True
        self.engine = Engine(self.limits, self.random.random, 2)
        task_counts = Counter(held.status for held in shadow.tasks.values())
        self.engine.load_counts(task_counts, Counter(row.status for row in shadow.rows.values()))
        self.engine.begin_grace(self.now)
        self.handle(*[HostLoaded(host, 50) for host in HOSTS if self.random.random() < 0.8])
        for command_id, task_id in shadow.command_of.items():
            held = shadow.tasks.get(task_id)
            if held is None or held.status.final:
                continue
            rows = [row.snapshot() for key, row in shadow.rows.items() if key[0] == command_id]
            untouched = held.status is TaskStatus.PENDING and all(row.status is ExecutionStatus.PENDING for row in rows)
            opened = [] if untouched else [row for row in rows if not row.status.final]
            loaded = replace(held, targets=tuple(row.host_id for row in rows))
            self.handle(TaskLoaded(loaded, self.commands[command_id], opened))
        self.loading = False
        self._check_waits()

    def step(self) -> None:
        if self.random.random() < 0.03:
            self.restart()
        self.handle(*[event for _ in range(self.random.choice([1, 1, 1, 3])) if (event := self._event()) is not None])

    def _event(self) -> Event | None:
        roll = self.random.random()
        if roll < 0.10:
            self._create()
            return None
        if roll < 0.20:
            return TaskStarted(self._task_id()) if self.random.random() < 0.95 else ServerStopping()
        if roll < 0.24:
            force = self.random.random() < 0.3
            if self.random.random() < 0.4:
                return ExecutionsCanceled(
                    self._task_id(), self.random.sample((*HOSTS, "nobody"), self.random.choice([1, 2, 4])), force
                )
            return TaskCanceled(self._task_id(), force)
        if roll < 0.26:
            self._forget()
            return None
        if roll < 0.40:
            return self._connect()
        if roll < 0.46:
            host = self.random.choice(HOSTS)
            return HostDisconnected(host, self.sessions.get(host, 0) - self.random.choice([0, 0, 1]))
        if roll < 0.56:
            leap = self.random.choice([0.1, 1, 30, 200, 5000])
            self.now = Now(
                self.now.mono + leap, self.now.wall_ms + self.random.choice([int(leap * 1000), -(10**9), 10**9])
            )
            return Tick()
        return self._report()

    def _create(self) -> None:
        self.made += 1
        pick = self.random
        hosts = tuple(pick.sample(HOSTS, pick.choice([1, 2, 3])))
        idempotent = pick.random() < 0.5
        codes = (
            "busy",
            "expired",
            "offline",
            "never_seen",
            *(("exit_nonzero", "silent", "journal_lost") if idempotent else ()),
        )
        retry = (
            None
            if pick.random() < 0.5
            else Retry(pick.choice([2, 4]), codes, pick.choice([0, 500, 50_000]), 60_000, idempotent)
        )
        made = task(
            f"t{self.made}", hosts, timeout_ms=pick.choice([None, 1_000, 60_000]), concurrency=pick.choice([None, 1]),
            wait_ms=pick.choice([None, None, 500, 40_000]), retry=retry,
        )  # fmt: skip
        command = Command(f"c{self.made}", made.task_id, command="true", timeout_ms=pick.choice([0, 1_000, 100_000]))
        self.shadow.create(made, command)
        self.commands[command.command_id] = command
        self.handle(TaskCreated(made, command))

    def _forget(self) -> None:
        held = self.shadow.tasks.get(self._task_id())
        if held is None or held.status is TaskStatus.RUNNING or (held.cancel_reason and not held.status.final):
            return
        command_id = held.task_id.replace("t", "c")
        for host_id in HOSTS:
            self.shadow.rows.pop((command_id, host_id), None)
        del self.shadow.tasks[held.task_id]
        self.handle(TaskDeleted(held))

    def _task_id(self) -> str:
        return f"t{self.random.randint(1, max(1, self.made))}"

    def _connect(self) -> Event:
        host = self.random.choice(HOSTS)
        self.session += 1
        self.sessions[host] = self.session
        entries = [
            JournalEntry(f"c{n}", self.random.choice([1, 1, 2]), n, self.random.choice(list(JournalStage)))
            for n in range(1, self.made + 1)
            if self.random.random() < 0.4
        ]
        journal = self.random.choice(["journal-1", "journal-1", "journal-1", "journal-2"])
        return HostConnected(
            host,
            self.session,
            journal,
            self.random.choice([1, 4]),
            self.random.choice([0, 7, 500]),
            entries,
            self.random.choice([0, 0, 5]),
        )

    def _report(self) -> Event:
        key = (
            self.random.choice(HOSTS),
            f"c{self.random.randint(1, max(1, self.made))}",
            self.random.choice([1, 1, 1, 1, 2, 2, 3]),
        )
        roll = self.random.random()
        if roll < 0.25:
            return Accepted(*key)
        if roll < 0.5:
            return Started(*key, 99, self.now.wall_ms)
        if roll < 0.6:
            return Rejected(*key, self.random.choice(REASONS))
        code = self.random.choice([None, "exit_nonzero"])
        return Result(
            *key,
            self.random.choice(list(Outcome)),
            exit_code=0,
            error_code=code,
            agent_started_at=self.random.choice([None, 5]),
        )
