"""The engine: events in, effects out, nothing else. No trio, no SQL, no gRPC, no clock; time is an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from _speedups.route import route
from server.core import admission, executions, hosts, retry, rollback, tasks
from server.core.effects import Effects, SaveExecution
from server.core.events import (
    Accepted,
    Event,
    ExecutionsCanceled,
    HostConnected,
    HostDisconnected,
    HostForgotten,
    HostLoaded,
    Now,
    Rejected,
    Restored,
    Result,
    Started,
    Stopping,
    TaskCanceled,
    TaskCreated,
    TaskForgotten,
    TaskLoaded,
    TaskStarted,
    Tick,
    Unaccounted,
)
from server.core.figures.delivery import Spread
from server.core.figures.statistics import Statistics
from server.core.model import Task
from server.core.results import unmatched
from server.core.state import EngineState, Execution, Limits, LiveTask
from server.core.states import ExecutionStatus, TaskStatus
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait, StartGrace


class Engine:
    """Owns the state of every task that is not final and of every host.

    Call `handle` with what happened; carry out what it returns: the saves in one transaction, then the acts in order,
    each
    call's after the one before. While `has_more` is true call it again soon with a Tick: fan-outs are done in slices.
    """

    def __init__(self, limits: Limits | None = None, chance: Callable[[], float] = lambda: 0.0, epoch: int = 0) -> None:
        """chance: a random number from 0 up to 1, for the pauses before further attempts. epoch: of this start of
        the server; 0 if there is none."""
        self.world = EngineState(limits or Limits(), chance, epoch)

    def load_counts(
        self, tasks_by_status: Mapping[TaskStatus, int], executions_by_status: Mapping[ExecutionStatus, int]
    ) -> None:
        """Counts over the whole store, before anything is loaded."""
        self.world.ledger.load(tasks_by_status, executions_by_status)

    def begin_grace(self, now: Now) -> None:
        """The server has just started: hosts are on their way back and are not offline yet."""
        self.world.deadlines.set(self.world.grace, now.mono + self.world.limits.start_grace)

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        """All events together are one transaction. Raises IllegalStep only if the engine itself is wrong."""
        world = self.world
        world.begin(now)
        route(world, world.peers, events, REPORTS, HANDLERS)
        admission.admit_slice(world, everything=any(type(event) is Tick for event in events))
        tasks.settle(world)
        for execution in world.dirty():
            world.save(SaveExecution(execution.row.snapshot()))
        return world.effects()

    @property
    def has_more(self) -> bool:
        """Another slice of some fan-out is due at once."""
        return admission.has_more(self.world)

    def next_deadline(self) -> float | None:
        """Monotonic seconds at which a Tick is due, or None."""
        return self.world.deadlines.next()

    def task(self, task_id: str) -> Task | None:
        """The record of a task that is not final; do not change it."""
        live = self.world.tasks.get(task_id)
        return live.task if live is not None else None

    def command_of(self, task_id: str) -> str | None:
        """The id of the command of a task that is not final."""
        live = self.world.tasks.get(task_id)
        return live.command.command_id if live is not None else None

    def open_on(self, host_id: str) -> int:
        """Executions dispatched to, running on or waiting for this host."""
        peer = self.world.peers.get(host_id)
        return len(peer.open) + len(peer.parked) if peer is not None else 0

    def oldest_waiting(self) -> float | None:
        """Since when the execution waits to be sent that has waited longest, in monotonic seconds; None if none does.
        Executions of a task that
        was not started do not wait; those in the pause before a further attempt do."""
        return self.world.measures.oldest()

    @property
    def delivery(self) -> Spread:
        """How long it takes to bring an execution to its agent, see Measures."""
        return self.world.measures.delivery

    def statistics(self) -> Statistics:
        return self.world.ledger.statistics(self.world.tally.totals())


def _tick(world: EngineState, event: Tick) -> None:
    for item in world.deadlines.due(world.now.mono):
        if isinstance(item, LiveTask):
            tasks.timed_out(world, item)
        elif isinstance(item, StartGrace):
            _grace_over(world)
        elif isinstance(item, OfflineWait):
            tasks.patience_over(world, item.live)
        elif isinstance(item, ElapsedCheckpoint):
            tasks.lap_over(world, item.live)
        elif isinstance(item, DelayedAcks):
            unmatched.due(world, item)
        elif item.row.status is ExecutionStatus.PENDING:
            retry.due(world, item)
        else:
            _overdue(world, item)


def _grace_over(world: EngineState) -> None:
    for peer in world.peers.values():
        if peer.session is None:
            world.unpark(peer, len(peer.parked))


def _overdue(world: EngineState, execution: Execution) -> None:
    row = execution.row
    if row.unreachable and world.now.mono < world.loss_suspended_until:
        world.deadlines.set(execution, world.loss_suspended_until)
    elif row.unreachable:
        admission.lose(world, execution, "silent")
    elif execution.suspect_until is not None:
        admission.lose(world, execution, "journal_lost")
    elif execution.asked is not None and world.now.mono - execution.asked >= world.limits.unanswered_after:
        # Its agent is here and says nothing about it, however often it is asked: nobody ever will.
        admission.lose(world, execution, "unanswered")
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        admission.end_if_unheard_of(world, execution)
    else:
        admission.ask_to_end(world, execution, "timeout")


HANDLERS: dict[type, Callable[[EngineState, Any], None]] = {
    TaskCreated: tasks.created,
    TaskStarted: tasks.started,
    TaskCanceled: tasks.canceled,
    ExecutionsCanceled: tasks.some_canceled,
    TaskForgotten: tasks.forgotten,
    TaskLoaded: tasks.loaded,
    HostLoaded: hosts.loaded,
    Restored: rollback.restored,
    HostConnected: hosts.connected,
    HostDisconnected: hosts.disconnected,
    HostForgotten: hosts.forgotten,
    Unaccounted: rollback.unaccounted,
    Stopping: tasks.stopping,
    Tick: _tick,
}
REPORTS: dict[type, Callable[[EngineState, Any, Execution | None], None]] = {
    Accepted: executions.accepted,
    Rejected: executions.rejected,
    Started: executions.started,
    Result: executions.result,
}
