"""Engine state and its only mutators; they keep counters, pending writes and deadlines consistent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice

from _speedups.tally import Tally
from server.core.effects import Act, Cancel, Dispatch, Effects, Forget, Save, SaveSeq, SendTime
from server.core.events import Now
from server.core.figures.delivery import DeliveryTimes
from server.core.figures.statistics import StatusCounts
from server.core.limits import EngineLimits
from server.core.live import HostState, LiveExecution, LiveTask
from server.core.model import Command, Task
from server.core.states import ExecutionStatus, ExecutionStep, TaskStep, execution_step, task_step
from server.core.timing.deadlines import Deadlines
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait, StartGrace

SMALL_TASK_SHARE = 20
"""One in this many executions in flight is reserved for small tasks."""


class EngineState:
    """State in memory, and what the current call of the engine has changed of it. Only the engine's handlers change it.

    Attributes:
        limits: Limits of the engine.
        chance: Returns a random number from 0 up to 1.
        epoch: Epoch of this start of the server; 0 if there is none.
        tasks: Tasks that are not final, by id.
        by_command: The same tasks by the id of their command.
        by_slot: The same tasks by their slot in the tally.
        hosts: All hosts, by id.
        tally: Counts of executions per task and status.
        status_counts: Counts of tasks and executions over the whole store.
        measures: Waiting and delivery times.
        deadlines: All deadlines.
        ready_large: Large tasks that may have something to admit; the next in turn is first.
        ready_small: Small tasks that may have something to admit; the next in turn is first.
        stopping: Tasks with executions that still have to be ended; the next in turn is first.
        in_flight: Dispatched or running executions.
        parked: Executions that wait for a host.
        connected: Hosts with a session.
        recent_disconnects: Monotonic seconds of recent disconnects, by host id, oldest first.
        loss_suspended_until: Monotonic seconds until which no execution of an offline host becomes lost.
        contradictions: Reports of agents that contradict their earlier reports.
        grace: The grace after a start of the server.
        now: Time of the current call.
        touched: Tasks to save at the end of the current call.
        woken: Tasks for which the current call has freed capacity or created work.
        halted: Tasks of which the current call is to end executions.
    """

    def __init__(self, limits: EngineLimits, chance: Callable[[], float], epoch: int) -> None:
        """Create a state without tasks and hosts."""
        self.limits = limits
        self.chance = chance
        self.epoch = epoch
        self.tasks: dict[str, LiveTask] = {}
        self.by_command: dict[str, LiveTask] = {}
        self.hosts: dict[str, HostState] = {}
        self.by_slot: dict[int, LiveTask] = {}
        self.tally = Tally()
        self.status_counts = StatusCounts()
        self.measures = DeliveryTimes()
        self.deadlines: Deadlines[
            LiveExecution | LiveTask | OfflineWait | ElapsedCheckpoint | StartGrace | DelayedAcks
        ] = Deadlines()
        self.ready_large: OrderedDict[LiveTask, None] = OrderedDict()

        self.ready_small: OrderedDict[LiveTask, None] = OrderedDict()
        self.stopping: OrderedDict[LiveTask, None] = OrderedDict()

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

        self.halted: OrderedDict[LiveTask, None] = OrderedDict()

    def begin(self, now: Now) -> None:
        """Start a call of the engine."""
        self._begin()
        self.now = now
        self._send_time.decided = now.mono

    # --- tasks --------------------------------------------------------------------------------------------

    def add_task(self, task: Task, command: Command, counts: Sequence[int]) -> LiveTask:
        """Add a task that is not final.

        Args:
            task: The task's record.
            command: The task's command.
            counts: Executions per status.
        """
        slot = self._free_slots.pop() if self._free_slots else self._next_slot
        self._next_slot += slot == self._next_slot
        limit = min(task.concurrency or self.limits.in_flight_per_task, self.limits.in_flight_per_task)
        live_task = LiveTask(task, command, slot, limit, small=task.total_hosts <= self.limits.small_task)
        self.tasks[task.task_id] = self.by_slot[slot] = self.by_command[command.command_id] = live_task
        self.tally.add(slot, counts)
        return live_task

    def drop_task(self, live_task: LiveTask) -> None:
        """Remove a task that has ended or was deleted."""
        live_task.stopping.clear()  # a task that is deleted may still have executions to stop
        for queue in (self.ready_large, self.ready_small, self.stopping):
            queue.pop(live_task, None)
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
        """Change a task's status.

        Raises:
            IllegalStep: The task's status does not allow this step.
        """
        old = live_task.task.status
        live_task.task.status = task_step(live_task.task.task_id, old, step)
        self.status_counts.moved(old, live_task.task.status)
        self.touched[live_task] = None

    def wake(self, live_task: LiveTask, *, soon: bool = True) -> None:
        """Consider a task for admission, if it has something to admit.

        Args:
            live_task: The task.
            soon: Admit in the current call, not only with the next slice.
        """
        if live_task.waiting:
            self.ready_queue(live_task).setdefault(live_task)
            if soon:
                self.woken[live_task] = None

    def ready_queue(self, live_task: LiveTask) -> OrderedDict[LiveTask, None]:
        """Return the queue in which a task waits for its turn to be admitted."""
        return self.ready_small if live_task.small else self.ready_large

    def in_flight_limit(self, live_task: LiveTask) -> int:
        """Return the limit of executions in flight, over all tasks, for this task to start another one.

        The limit is lower for large tasks, so that small tasks always find free capacity.
        """
        most = self.limits.in_flight
        return most if live_task.small else most - most // SMALL_TASK_SHARE

    # --- executions ---------------------------------------------------------------------------------------

    def step(self, execution: LiveExecution, step: ExecutionStep) -> None:
        """Change an execution's status. No other code does this.

        Raises:
            IllegalStep: The execution's status does not allow this step.
        """
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
        """Save the execution's row at the end of this call, with its content at that time."""
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
        """Free the capacity of an execution that is no longer at its host."""
        row, live_task = execution.row, execution.live_task
        host = self.hosts[row.host_id]
        live_task.started.pop(row.host_id, None)
        del host.open[row.command_id]
        live_task.in_flight -= 1
        self.in_flight -= 1
        self.unpark(host, 1, of=live_task)
        self.wake(live_task)

    def waits_for_offline_host(self, execution: LiveExecution) -> bool:
        """Return whether the execution waits for an offline host. During the start grace no host is offline."""
        host = self.hosts.get(execution.row.host_id)
        return host is not None and host.session is None and not self.grace.ticket and execution in host.parked

    def park(self, host: HostState, execution: LiveExecution) -> None:
        """Let an execution wait for this host, after those that already wait."""
        host.parked[execution] = None
        self.parked += 1

    def unpark(self, host: HostState, number: int, *, of: LiveTask | None = None) -> None:
        """Return executions that wait for this host to the front of their tasks' queues, in order.

        Args:
            host: The host.
            number: Largest number of executions to return.
            of: The task that freed the capacity. Other large tasks then continue only with the next slice.
        """
        returned = list(islice(host.parked, number))
        self.parked -= len(returned)
        for execution in returned:
            del host.parked[execution]
        for execution in reversed(returned):
            execution.live_task.waiting.appendleft(execution)
        for execution in returned:
            live_task = execution.live_task
            self.wake(live_task, soon=live_task.small or of is None or live_task is of)

    # --- saves and acts -----------------------------------------------------------------------------------

    def save(self, save: Save) -> None:
        """Add a save to the transaction of this call."""
        self._saves.append(save)

    def act(self, act: Act) -> None:
        """Add an act to carry out after the commit of this call."""
        self._acts.append(act)

    def dispatch(self, session: int, execution: LiveExecution, seq: int) -> None:
        """Send an execution to its host after the commit."""
        row = execution.row
        execution.send_time = self._send_time
        self.act(
            Dispatch(row.host_id, session, execution.live_task.command, row.attempt, seq, execution.live_task.small)
        )

    def next_seq(self, host: HostState) -> int:
        """Return the host's next dispatch number, and reserve a new block of numbers if needed."""
        host.seq += 1
        if host.seq > host.seq_reserved:
            host.seq_reserved = host.seq + self.limits.seq_block - 1
            self.save(SaveSeq(host.host_id, host.seq_reserved))
        host.seq_seen = host.seq
        return host.seq

    def send_cancel(self, execution: LiveExecution) -> None:
        """Ask a connected host to end an execution.

        The request carries the reason, so that the agent's report has the same. An offline host gets the request with
        the verdicts when it reconnects. Nothing is sent while the execution is suspect: a host without a trace of it
        would answer that it never started.
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
        """Tell the agent the number up to which all its dispatches have ended. No open execution has such a number.

        Args:
            host: The host.
            every: Send nothing unless the number has grown by at least this much.
        """
        if host.session is not None and host.seq_seen - host.seq_forgotten >= every:
            low = min((execution.row.seq or 1 for execution in host.open.values()), default=host.seq_seen + 1) - 1
            if low - host.seq_forgotten >= every:
                host.seq_forgotten = low
                self.act(Forget(host.host_id, host.session, low))

    def apply_counts(self) -> None:
        """Apply the status changes of this call to the tally."""
        slots, olds, news = self._moves
        if slots:
            self.tally.apply(slots, olds, news)
            self._moves = ([], [], [])

    def dirty(self) -> list[LiveExecution]:
        """Return the executions that this call has changed."""
        return list(self._dirty)

    def effects(self) -> Effects:
        """Return everything that this call asks for."""
        return Effects(self._saves, self._acts, self._send_time)
