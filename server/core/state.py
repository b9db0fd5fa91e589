"""What the engine knows, and the few ways to change it so that counts, saves and deadlines follow by themselves."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from _speedups.tally import Tally
from server.core.effects import Act, Cancel, Dispatch, Effects, Forget, Save, SaveSeq, SendTime
from server.core.events import Now
from server.core.figures.delivery import DeliveryTimes, WaitingGroup
from server.core.figures.statistics import StatusCounts
from server.core.limits import EngineLimits
from server.core.model import Command, Execution, Task
from server.core.states import ExecutionStatus, ExecutionStep, TaskStep, execution_step, task_step
from server.core.timing.deadlines import Deadlines
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait, StartGrace

SMALL_TASK_SHARE = 20
"""One in so many of all executions in flight is kept for small tasks."""
ALREADY_SENT = SendTime(float("-inf"))


@dataclass(slots=True, eq=False)
class LiveExecution:
    """A row that is not final. send_time: of its last dispatch."""

    row: Execution
    live_task: LiveTask
    ticket: int = 0
    end_requested_at: float | None = None
    """Since when its host, which is here, has been asked to end it."""
    suspect_until: float | None = None
    """Its host is here by a Hello that should name it and does not: when that is to be believed."""
    send_time: SendTime = ALREADY_SENT
    waiting_group: WaitingGroup | None = None
    """It waits, with others, since then. None: it does not, or its task has not begun."""

    def __str__(self) -> str:
        return f"{self.row.command_id} on {self.row.host_id}"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Executions that are still to be told to end. reason: canceled, timeout or expired. force: given up if their host
    is away."""

    executions: deque[LiveExecution]
    reason: str
    force: bool = False


@dataclass(slots=True, eq=False)
class LiveTask:
    """A task that is not final. waiting: not yet admitted; stopping: still to be told to end; limit: its own
    concurrency."""

    task: Task
    command: Command
    slot: int
    limit: int
    executions: dict[str, LiveExecution] = field(default_factory=dict)
    waiting: deque[LiveExecution] = field(default_factory=deque)
    stopping: deque[StopRequest] = field(default_factory=deque)
    offline_wait: OfflineWait | None = None
    elapsed: ElapsedCheckpoint | None = None
    started: dict[str, None] = field(default_factory=dict)
    in_flight: int = 0
    small: bool = False
    """It has few hosts: larger tasks do not hold it up."""
    ticket: int = 0
    loaded: bool = False
    """It was not created in this run of the server."""
    rows_created: bool = False
    """Its executions are, or were, in memory: until its start a task has none."""


@dataclass(slots=True, eq=False)
class HostState:
    """A host as the engine sees it. session: None while it is away. open: by command_id, dispatched or running.
    parked: admitted by its task, waiting for this host."""

    host_id: str
    session: int | None = None
    journal_id: str | None = None
    former_journals: tuple[str, ...] = ()
    """Journals that it had before in this run, the last few."""
    capacity: int = 0
    seq: int = 0
    seq_reserved: int = 0
    seq_seen: int = 0
    """The highest dispatch number that this host has met, or was sent in this run."""
    seq_forgotten: int = 0
    loaded: bool = False
    """It was known when the server started."""
    epoch_seen: int = 0
    """The highest epoch that it has claimed to have met, as stored."""
    open: dict[str, LiveExecution] = field(default_factory=dict)
    parked: dict[LiveExecution, None] = field(default_factory=dict)
    claims: dict[tuple[str, int], None] = field(default_factory=dict)
    """What the last Hello named and is not open, with a number that was given out."""
    paid_until: float = 0.0
    """Monotonic seconds at which its unsolicited results are paid for, see strays.py."""
    delayed_acks: DelayedAcks | None = None


class EngineState:
    """State in memory plus what the current call has changed of it. Changed by the engine's handlers only."""

    def __init__(self, limits: EngineLimits, chance: Callable[[], float], epoch: int) -> None:
        self.limits, self.chance, self.epoch = limits, chance, epoch
        self.tasks: dict[str, LiveTask] = {}
        self.by_command: dict[str, LiveTask] = {}
        self.hosts: dict[str, HostState] = {}
        self.by_slot: dict[int, LiveTask] = {}
        self.tally = Tally()
        self.ledger = StatusCounts()
        self.measures = DeliveryTimes()
        self.deadlines: Deadlines[
            LiveExecution | LiveTask | OfflineWait | ElapsedCheckpoint | StartGrace | DelayedAcks
        ] = Deadlines()
        self.ready_large: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks that may have something to admit, the next in turn first; small ones apart, in `quick`."""
        self.ready_small: OrderedDict[LiveTask, None] = OrderedDict()
        self.stopping: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks of which executions are still to be told to end, the next in turn first."""
        self.in_flight = 0
        self.parked = 0
        self.connected = 0
        self.recent_disconnects: dict[str, float] = {}
        self.loss_suspended_until = 0.0
        self.contradictions = 0
        self.grace = StartGrace()
        self._free_slots: list[int] = []
        self._next_slot = 0
        self._begin()

    def _begin(self) -> None:
        self.now = Now(0.0, 0)
        self._saves: list[Save] = []
        self._acts: list[Act] = []
        self._send_time = SendTime()
        self._dirty: dict[LiveExecution, None] = {}
        self._moves: tuple[list[int], list[int], list[int]] = ([], [], [])
        self.touched: dict[LiveTask, None] = {}
        self.woken: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks for which this call itself has made room, or work."""
        self.halted: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks of which this call itself is to end executions."""

    def begin(self, now: Now) -> None:
        """Start of a call of the engine."""
        self._begin()
        self.now = now
        self._send_time.decided = now.mono

    # --- tasks
    # ---------------------------------------------------------------------------------------------------------

    def add_task(self, task: Task, command: Command, counts: Sequence[int]) -> LiveTask:
        slot = self._free_slots.pop() if self._free_slots else self._next_slot
        self._next_slot += slot == self._next_slot
        limit = min(task.concurrency or self.limits.in_flight_per_task, self.limits.in_flight_per_task)
        live_task = LiveTask(task, command, slot, limit, small=task.total_hosts <= self.limits.small_task)
        self.tasks[task.task_id] = self.by_slot[slot] = self.by_command[command.command_id] = live_task
        self.tally.add(slot, counts)
        return live_task

    def drop_task(self, live_task: LiveTask) -> None:
        live_task.stopping.clear()  # of one that is deleted, some hosts may still be on their way out
        for turns in (self.ready_large, self.ready_small, self.stopping):
            turns.pop(live_task, None)
        self.deadlines.clear(live_task)
        for item in (live_task.offline_wait, live_task.elapsed):
            if item is not None:
                self.deadlines.clear(item)
        self.tally.drop(live_task.slot)
        self._free_slots.append(live_task.slot)
        del (
            self.tasks[live_task.task.task_id],
            self.by_slot[live_task.slot],
            self.by_command[live_task.command.command_id],
        )

    def step_task(self, live_task: LiveTask, step: TaskStep) -> None:
        old = live_task.task.status
        live_task.task.status = task_step(live_task.task.task_id, old, step)
        self.ledger.moved(old, live_task.task.status)
        self.touched[live_task] = None

    def wake(self, live_task: LiveTask, *, soon: bool = True) -> None:
        """It may have something to admit. soon: in this very call, not only with the next slice."""
        if live_task.waiting:
            self.ready_queue(live_task).setdefault(live_task)
            if soon:
                self.woken[live_task] = None

    def ready_queue(self, live_task: LiveTask) -> OrderedDict[LiveTask, None]:
        """In which it takes its turn."""
        return self.ready_small if live_task.small else self.ready_large

    def in_flight_limit(self, live_task: LiveTask) -> int:
        """Executions in flight, of all tasks, below which one of this task may go: large tasks leave some for small
        ones."""
        most = self.limits.in_flight
        return most if live_task.small else most - most // SMALL_TASK_SHARE

    # --- executions
    # ------------------------------------------------------------------------------------------------------

    def step(self, execution: LiveExecution, step: ExecutionStep) -> None:
        """The only place where an execution's status changes. Raises IllegalStep."""
        row, live_task = execution.row, execution.live_task
        old = row.status
        new = execution_step(execution, old, step)
        row.status = new
        slots, olds, news = self._moves
        slots.append(live_task.slot)
        olds.append(old)
        news.append(new)
        self.changed(execution)
        if execution.waiting_group is not None:
            self.measures.end_wait(execution)
        if new.final:
            self._end(execution, was_open=old is not ExecutionStatus.PENDING)
        elif new is ExecutionStatus.RUNNING:
            live_task.started[row.host_id] = None
        elif new is ExecutionStatus.PENDING:
            self._release(execution)

    def changed(self, execution: LiveExecution) -> None:
        """Its row will be saved, as it is at the end of this call."""
        if execution not in self._dirty:
            execution.row.version += 1
            self._dirty[execution] = None

    def _end(self, execution: LiveExecution, *, was_open: bool) -> None:
        row, live_task = execution.row, execution.live_task
        row.unreachable = False
        row.finished_at, row.retry_at = self.now.wall_ms, None
        self.deadlines.clear(execution)
        live_task.executions.pop(row.host_id, None)
        if was_open:
            self._release(execution)
        elif (host := self.hosts.get(row.host_id)) is not None and execution in host.parked:
            del host.parked[execution]
            self.parked -= 1

    def _release(self, execution: LiveExecution) -> None:
        """It is no longer at its host: there is room for another one."""
        row, live_task = execution.row, execution.live_task
        host = self.hosts[row.host_id]
        live_task.started.pop(row.host_id, None)
        del host.open[row.command_id]
        live_task.in_flight -= 1
        self.in_flight -= 1
        self.unpark(host, 1, of=live_task)
        self.wake(live_task)

    def waits_for_offline_host(self, execution: LiveExecution) -> bool:
        """It waits for a host that is not connected, and not on its way back after the server's start."""
        host = self.hosts.get(execution.row.host_id)
        return host is not None and host.session is None and not self.grace.ticket and execution in host.parked

    def park(self, host: HostState, execution: LiveExecution) -> None:
        """It waits for this host, behind those that do already."""
        host.parked[execution] = None
        self.parked += 1

    def unpark(self, host: HostState, number: int, *, of: LiveTask | None = None) -> None:
        """Give up to `number` executions that wait for this host back to their tasks, to be considered first, in the
        order in which
        they came. of: the task that has made room; then other large tasks go on with the next slice only."""
        returned = list(islice(host.parked, number))
        self.parked -= len(returned)
        for execution in returned:
            del host.parked[execution]
        for execution in reversed(returned):
            execution.live_task.waiting.appendleft(execution)
        for execution in returned:
            live_task = execution.live_task
            self.wake(live_task, soon=live_task.small or of is None or live_task is of)

    # --- what goes out
    # -----------------------------------------------------------------------------------------------------

    def save(self, save: Save) -> None:
        self._saves.append(save)

    def act(self, act: Act) -> None:
        self._acts.append(act)

    def dispatch(self, session: int, execution: LiveExecution, seq: int) -> None:
        row = execution.row
        execution.send_time = self._send_time
        self.act(
            Dispatch(row.host_id, session, execution.live_task.command, row.attempt, seq, execution.live_task.small)
        )

    def next_seq(self, host: HostState) -> int:
        host.seq += 1
        if host.seq > host.seq_reserved:
            host.seq_reserved = host.seq + self.limits.seq_block - 1
            self.save(SaveSeq(host.host_id, host.seq_reserved))
        host.seq_seen = host.seq
        return host.seq

    def send_cancel(self, execution: LiveExecution) -> None:
        """To a host that is connected; to others it goes with the verdicts when they return. Not while it is in doubt:
        who has no trace
        of it would say that it never started.

        The agent is told why, so that its report says the same.
        """
        row = execution.row
        reason = row.cancel_reason or execution.live_task.task.cancel_reason or "canceled"
        host = self.hosts[row.host_id]
        if (
            host.session is not None
            and row.journal_id is not None
            and row.seq is not None
            and execution.suspect_until is None
        ):
            self.act(Cancel(row.host_id, host.session, row.command_id, row.attempt, row.seq, row.journal_id, reason))

    def forget(self, host: HostState, every: int) -> None:
        """Tell the agent up to which number everything is over, if that has moved on by so many. Nothing open has such
        a number."""
        if host.session is not None and host.seq_seen - host.seq_forgotten >= every:
            low = min((execution.row.seq or 1 for execution in host.open.values()), default=host.seq_seen + 1) - 1
            if low - host.seq_forgotten >= every:
                host.seq_forgotten = low
                self.act(Forget(host.host_id, host.session, low))

    def apply_counts(self) -> None:
        slots, olds, news = self._moves
        if slots:
            self.tally.apply(slots, olds, news)
            self._moves = ([], [], [])

    def dirty(self) -> list[LiveExecution]:
        return list(self._dirty)

    def effects(self) -> Effects:
        return Effects(self._saves, self._acts, self._send_time)
