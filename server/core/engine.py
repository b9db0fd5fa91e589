"""The engine: takes events and returns effects.

It uses no trio, SQL, HTTP, gRPC or clock. Time is an argument.
"""

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
    LimitsChanged,
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
from server.core.live import LiveExecution, LiveTask
from server.core.model import Task
from server.core.results import unmatched
from server.core.state import EngineState
from server.core.states import ExecutionStatus, TaskStatus
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait, StartGrace


class Engine:
    """Owns the state of every task that is not final and of every host.

    The caller passes events to `handle` and carries out the returned effects: the saves in one transaction, then the
    acts in order, after those of the call before. Fan-outs are done in slices: while `has_more` is true, the caller
    soon calls `handle` again with a Tick.
    """

    def __init__(
        self, limits: EngineLimits | None = None, chance: Callable[[], float] = lambda: 0.0, epoch: int = 0
    ) -> None:
        """Create an engine without tasks and hosts.

        Args:
            limits: Limits of the engine.
            chance: Returns a random number from 0 up to 1, for the pauses before further attempts.
            epoch: Epoch of this start of the server; 0 if there is none.
        """
        self.state = EngineState(limits or EngineLimits(), chance, epoch)

    def load_counts(
        self, tasks_by_status: Mapping[TaskStatus, int], executions_by_status: Mapping[ExecutionStatus, int]
    ) -> None:
        """Set the counts over the whole store. Call it before any task is loaded."""
        self.state.status_counts.load(tasks_by_status, executions_by_status)

    def begin_grace(self, now: Now) -> None:
        """Start the grace after a start of the server. Until it ends, no host counts as offline."""
        self.state.deadlines.set(self.state.grace, now.mono + self.state.limits.start_grace)

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        """Handle events and return their effects. All events of one call are one transaction.

        Raises:
            IllegalStep: A status change is not allowed. This is a bug of the engine.
        """
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
        """True if another slice of a fan-out is due at once."""
        return admission.has_more(self.state)

    def next_deadline(self) -> float | None:
        """Return the monotonic seconds at which a Tick is due, or None."""
        return self.state.deadlines.next()

    def task(self, task_id: str) -> Task | None:
        """Return the record of a task that is not final, else None. The caller must not change it."""
        live_task = self.state.tasks.get(task_id)
        return live_task.task if live_task is not None else None

    def command_of(self, task_id: str) -> str | None:
        """Return the id of the command of a task that is not final, else None."""
        live_task = self.state.tasks.get(task_id)
        return live_task.command.command_id if live_task is not None else None

    def open_on(self, host_id: str) -> int:
        """Return the number of executions that are dispatched to, run on or wait for this host."""
        host = self.state.hosts.get(host_id)
        return len(host.open) + len(host.parked) if host is not None else 0

    def oldest_waiting(self) -> float | None:
        """Return the monotonic seconds since when the oldest waiting execution waits to be sent; None if none waits.

        Executions in the pause before a further attempt count. Executions of a task that was not started do not.
        """
        return self.state.measures.oldest()

    @property
    def delivery(self) -> DurationHistogram:
        """Times from the decision to send an execution until its agent has accepted it; see DeliveryTimes."""
        return self.state.measures.delivery

    def statistics(self) -> Statistics:
        """Return the counts of tasks and executions over the whole store."""
        return self.state.status_counts.statistics(self.state.tally.totals())


def _limits_changed(state: EngineState, event: LimitsChanged) -> None:
    state.limits = event.limits


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
        # The agent is online and has not answered any of the repeated requests: no answer will come.
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
    LimitsChanged: _limits_changed,
    ServerStopping: tasks.stopping,
    Tick: _tick,
}
"""Handlers of events that name no execution."""
REPORTS: dict[type, Callable[[EngineState, Any, LiveExecution | None], None]] = {
    Accepted: executions.accepted,
    Rejected: executions.rejected,
    Started: executions.started,
    Result: executions.result,
}
"""Handlers of agents' reports. The third argument is the open execution that the report names, or None."""
