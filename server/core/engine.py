"""The engine: events in, effects out, nothing else. No trio, no SQL, no gRPC, no clock; time is an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from _speedups.route import route
from server.core import admission, executions, hosts, retry, rollback, tasks
from server.core.effects import Effects, SaveExecution
from server.core.events import (
    Accepted,
    DatabaseRestored,
    Event,
    ExecutionsCanceled,
    HostConnected,
    HostDeleted,
    HostDisconnected,
    HostLoaded,
    Now,
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
    UnknownExecutions,
)
from server.core.figures.delivery import DurationHistogram
from server.core.figures.statistics import Statistics
from server.core.limits import EngineLimits
from server.core.model import Task
from server.core.results import unmatched
from server.core.state import EngineState, LiveExecution, LiveTask
from server.core.states import ExecutionStatus, TaskStatus
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait, StartGrace


class Engine:
    """Owns the state of every task that is not final and of every host.

    Call `handle` with what happened; carry out what it returns: the saves in one transaction, then the acts in order,
    each
    call's after the one before. While `has_more` is true call it again soon with a Tick: fan-outs are done in slices.
    """

    def __init__(
        self, limits: EngineLimits | None = None, chance: Callable[[], float] = lambda: 0.0, epoch: int = 0
    ) -> None:
        """chance: a random number from 0 up to 1, for the pauses before further attempts. epoch: of this start of
        the server; 0 if there is none."""
        self.state = EngineState(limits or EngineLimits(), chance, epoch)

    def load_counts(
        self, tasks_by_status: Mapping[TaskStatus, int], executions_by_status: Mapping[ExecutionStatus, int]
    ) -> None:
        """Counts over the whole store, before anything is loaded."""
        self.state.ledger.load(tasks_by_status, executions_by_status)

    def begin_grace(self, now: Now) -> None:
        """The server has just started: hosts are on their way back and are not offline yet."""
        self.state.deadlines.set(self.state.grace, now.mono + self.state.limits.start_grace)

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        """All events together are one transaction. Raises IllegalStep only if the engine itself is wrong."""
        state = self.state
        state.begin(now)
        route(state, state.hosts, events, REPORTS, HANDLERS)
        admission.admit_slice(state, everything=any(type(event) is Tick for event in events))
        tasks.settle(state)
        for execution in state.dirty():
            state.save(SaveExecution(execution.row.snapshot()))
        return state.effects()

    @property
    def has_more(self) -> bool:
        """Another slice of some fan-out is due at once."""
        return admission.has_more(self.state)

    def next_deadline(self) -> float | None:
        """Monotonic seconds at which a Tick is due, or None."""
        return self.state.deadlines.next()

    def task(self, task_id: str) -> Task | None:
        """The record of a task that is not final; do not change it."""
        live_task = self.state.tasks.get(task_id)
        return live_task.task if live_task is not None else None

    def command_of(self, task_id: str) -> str | None:
        """The id of the command of a task that is not final."""
        live_task = self.state.tasks.get(task_id)
        return live_task.command.command_id if live_task is not None else None

    def open_on(self, host_id: str) -> int:
        """Executions dispatched to, running on or waiting for this host."""
        host = self.state.hosts.get(host_id)
        return len(host.open) + len(host.parked) if host is not None else 0

    def oldest_waiting(self) -> float | None:
        """Since when the execution waits to be sent that has waited longest, in monotonic seconds; None if none does.
        Executions of a task that
        was not started do not wait; those in the pause before a further attempt do."""
        return self.state.measures.oldest()

    @property
    def delivery(self) -> DurationHistogram:
        """How long it takes to bring an execution to its agent, see Measures."""
        return self.state.measures.delivery

    def statistics(self) -> Statistics:
        return self.state.ledger.statistics(self.state.tally.totals())


def _tick(state: EngineState, event: Tick) -> None:
    for item in state.deadlines.due(state.now.mono):
        if isinstance(item, LiveTask):
            tasks.timed_out(state, item)
        elif isinstance(item, StartGrace):
            _grace_over(state)
        elif isinstance(item, OfflineWait):
            tasks.offline_wait_over(state, item.live_task)
        elif isinstance(item, ElapsedCheckpoint):
            tasks.checkpoint_due(state, item.live_task)
        elif isinstance(item, DelayedAcks):
            unmatched.send_due_acks(state, item)
        elif item.row.status is ExecutionStatus.PENDING:
            retry.pause_over(state, item)
        else:
            _overdue(state, item)


def _grace_over(state: EngineState) -> None:
    for host in state.hosts.values():
        if host.session is None:
            state.unpark(host, len(host.parked))


def _overdue(state: EngineState, execution: LiveExecution) -> None:
    row = execution.row
    if row.unreachable and state.now.mono < state.loss_suspended_until:
        state.deadlines.set(execution, state.loss_suspended_until)
    elif row.unreachable:
        admission.lose(state, execution, "silent")
    elif execution.suspect_until is not None:
        admission.lose(state, execution, "journal_lost")
    elif (
        execution.end_requested_at is not None
        and state.now.mono - execution.end_requested_at >= state.limits.unanswered_after
    ):
        # Its agent is here and says nothing about it, however often it is end_requested_at: nobody ever will.
        admission.lose(state, execution, "unanswered")
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        admission.expire_if_not_accepted(state, execution)
    else:
        admission.request_end(state, execution, "timeout")


HANDLERS: dict[type, Callable[[EngineState, Any], None]] = {
    TaskCreated: tasks.created,
    TaskStarted: tasks.started,
    TaskCanceled: tasks.canceled,
    ExecutionsCanceled: tasks.executions_canceled,
    TaskDeleted: tasks.forgotten,
    TaskLoaded: tasks.loaded,
    HostLoaded: hosts.loaded,
    DatabaseRestored: rollback.restored,
    HostConnected: hosts.connected,
    HostDisconnected: hosts.disconnected,
    HostDeleted: hosts.forgotten,
    UnknownExecutions: rollback.unaccounted,
    ServerStopping: tasks.stopping,
    Tick: _tick,
}
REPORTS: dict[type, Callable[[EngineState, Any, LiveExecution | None], None]] = {
    Accepted: executions.accepted,
    Rejected: executions.rejected,
    Started: executions.started,
    Result: executions.result,
}
