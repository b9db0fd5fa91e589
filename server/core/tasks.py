"""What operators do to tasks, and how a task ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice

from server.core import retry
from server.core.effects import Forgotten, Progress, SaveTask
from server.core.events import (
    ExecutionsCanceled,
    Stopping,
    TaskCanceled,
    TaskCreated,
    TaskForgotten,
    TaskLoaded,
    TaskStarted,
)
from server.core.model import CommandHost, Task
from server.core.state import EngineState, Execution, HostState, LiveTask, Stop
from server.core.states import ExecutionStatus, TaskStatus, TaskStep
from server.core.timing.timers import ElapsedCheckpoint, OfflineWait

SLOWEST = 5


def created(world: EngineState, event: TaskCreated) -> None:
    pending = [0] * len(ExecutionStatus)
    pending[ExecutionStatus.PENDING] = len(event.task.targets)
    event.task.counts = tuple(pending)
    live = world.add_task(event.task, event.command, pending)
    world.ledger.created(event.task)
    _show(world, live)


def loaded(world: EngineState, event: TaskLoaded) -> None:
    """After a restart. Rows that were dispatched or running wait for their agents; deadlines begin anew."""
    task = event.task
    world.ledger.reopened(task)
    live = world.add_task(task, event.command, task.counts)
    live.loaded = True
    live.made = (
        task.status is not TaskStatus.PENDING
        or bool(event.executions)
        or task.counts[ExecutionStatus.PENDING] < len(task.targets)
    )
    for row in event.executions:
        execution = live.executions[row.host_id] = Execution(row, live)
        if row.retry_at is not None:
            retry.resume(world, execution)
        elif row.status is ExecutionStatus.PENDING:
            live.waiting.append(execution)
        else:
            _reclaim(world, live, execution)
    if task.status is TaskStatus.RUNNING:
        _wait_as_before(world, live)
        _keep_time(world, live)
        if task.cancel_reason is None:
            _limit(world, live)
        _be_patient(world, live)
        world.wake(live)
    if task.cancel_reason is not None:
        if task.status is TaskStatus.PENDING:
            make_rows(live)
        _stop(world, live, live.executions.values(), task.cancel_reason)
    _show(world, live)


def _wait_as_before(world: EngineState, live: LiveTask) -> None:
    """Those that were never sent wait since the task's start, as far as the wall clock tells that over a restart; it is
    shown, and nothing is
    decided by it. Of further attempts nothing tells when they began to wait, so they do since now."""
    waiting = [execution for execution in live.executions.values() if execution.row.status is ExecutionStatus.PENDING]
    started_at = live.task.started_at or world.now.wall_ms
    _wait(
        world,
        [execution for execution in waiting if execution.row.attempt == 1],
        world.now.mono - max(0, world.now.wall_ms - started_at) / 1000,
    )
    _wait(world, [execution for execution in waiting if execution.row.attempt > 1], world.now.mono)


def _keep_time(world: EngineState, live: LiveTask) -> None:
    """Of a task with a limit on its time. No clock that can be set tells over a restart how much of that is over: what
    a server has
    counted is saved, and the time between two servers is nobody's."""
    task = live.task
    if task.timeout_ms is not None or task.wait_ms is not None:
        live.lap = ElapsedCheckpoint(live, world.now.mono - task.spent_ms / 1000)
        world.deadlines.set(live.lap, world.now.mono + world.limits.lap)


def lap_over(world: EngineState, live: LiveTask) -> None:
    assert live.lap is not None
    world.deadlines.set(live.lap, world.now.mono + world.limits.lap)
    world.touched[live] = None


def stopping(world: EngineState, event: Stopping) -> None:
    world.touched.update({live: None for live in world.tasks.values() if live.lap is not None})


def _limit(world: EngineState, live: LiveTask) -> None:
    if live.lap is not None and live.task.timeout_ms is not None:
        world.deadlines.set(live, live.lap.began + live.task.timeout_ms / 1000)


def _be_patient(world: EngineState, live: LiveTask) -> None:
    if live.lap is not None and live.task.wait_ms is not None:
        live.patience = OfflineWait(live)
        world.deadlines.set(live.patience, live.lap.began + live.task.wait_ms / 1000)


def patience_over(world: EngineState, live: LiveTask) -> None:
    """Hosts that have not come by now are no longer waited for."""
    _stop(world, live, live.executions.values(), "expired")


def _reclaim(world: EngineState, live: LiveTask, execution: Execution) -> None:
    row = execution.row
    peer = world.peers.setdefault(row.host_id, HostState(row.host_id))
    peer.open[row.command_id] = execution
    live.in_flight += 1
    world.in_flight += 1
    if row.status is ExecutionStatus.RUNNING:
        live.started[row.host_id] = None
    if not row.unreachable:
        row.unreachable = True
        world.changed(execution)
    world.deadlines.set(execution, world.now.mono + world.limits.lost_after)


def started(world: EngineState, event: TaskStarted) -> None:
    """Of no effect unless the task is pending: two starts run it once."""
    live = world.tasks.get(event.task_id)
    if live is None or live.task.status is not TaskStatus.PENDING or live.task.cancel_reason is not None:
        return
    live.task.started_at = world.now.wall_ms
    world.step_task(live, TaskStep.START)
    make_rows(live)
    _wait(world, live.executions.values(), world.now.mono)
    _keep_time(world, live)
    _limit(world, live)
    _be_patient(world, live)
    world.wake(live)


def _wait(world: EngineState, executions: Collection[Execution], when: float) -> None:
    """They wait since `when`, in monotonic seconds."""
    if executions:
        since = world.measures.wait(len(executions), when)
        for execution in executions:
            execution.since = since


def make_rows(live: LiveTask) -> None:
    """Once: rows that have ended are not open any more, and would come again."""
    if live.made:
        return
    live.made = True
    command_id = live.command.command_id
    for host_id in live.task.targets:
        execution = live.executions[host_id] = Execution(CommandHost(command_id, host_id), live)
        live.waiting.append(execution)


def canceled(world: EngineState, event: TaskCanceled) -> None:
    """Of no effect on a task that has ended, or is being ended already, unless by force."""
    live = world.tasks.get(event.task_id)
    if live is None:
        return
    if live.task.cancel_reason is None:
        live.task.cancel_requested_at = world.now.wall_ms
        _end_all(world, live, "canceled", force=event.force)
    elif event.force:
        _stop(world, live, live.executions.values(), live.task.cancel_reason, force=True)


def some_canceled(world: EngineState, event: ExecutionsCanceled) -> None:
    live = world.tasks.get(event.task_id)
    if live is not None:
        if live.task.status is TaskStatus.PENDING:
            make_rows(live)
        found = (live.executions.get(host_id) for host_id in event.host_ids)
        _stop(world, live, [execution for execution in found if execution is not None], "canceled", force=event.force)


def timed_out(world: EngineState, live: LiveTask) -> None:
    """The task's own time is over: what waits is never started, what runs is ended the way a cancel ends it.

    A cancel takes the deadline away, so of the two whichever comes first names the end.
    """
    _end_all(world, live, "timeout")


def _end_all(world: EngineState, live: LiveTask, reason: str, *, force: bool = False) -> None:
    live.task.cancel_reason = reason
    world.deadlines.clear(live)
    world.touched[live] = None
    if live.task.status is TaskStatus.PENDING:
        make_rows(live)
    _stop(world, live, live.executions.values(), reason, force=force)


def _stop(
    world: EngineState, live: LiveTask, executions: Iterable[Execution], reason: str, *, force: bool = False
) -> None:
    live.stopping.append(Stop(deque(executions), reason, force))
    world.stopping[live] = world.halted[live] = None


def forgotten(world: EngineState, event: TaskForgotten) -> None:
    """A task that never started, or has ended."""
    live = world.tasks.get(event.task.task_id)
    if live is not None:
        world.drop_task(live)
    world.ledger.deleted(event.task, was_open=live is not None)
    world.act(Forgotten(event.task.task_id))


def settle(world: EngineState) -> None:
    """After all events of a call: bring the counts into the tasks, end those with nothing open, save and show them."""
    world.apply_moves()
    changed = [world.by_slot[slot] for slot in world.tally.take_changed() if slot in world.by_slot]
    for live in dict.fromkeys([*changed, *world.touched]):
        task = live.task
        task.counts = world.tally.counts(live.slot)
        if world.tally.open(live.slot) == 0:
            _finish(world, live)
        if live.lap is not None:
            task.spent_ms = int((world.now.mono - live.lap.began) * 1000)
        task.version += 1
        task.updated_at = world.now.wall_ms
        world.save(SaveTask(_show(world, live)))


def _finish(world: EngineState, live: LiveTask) -> None:
    task = live.task
    task.finished_at = world.now.wall_ms
    world.step_task(live, _last_step(live))
    world.ledger.settled(task)
    world.drop_task(live)


def _last_step(live: LiveTask) -> TaskStep:
    counts, reason = live.task.counts, live.task.cancel_reason
    if live.task.completed_hosts == live.task.total_hosts:
        return TaskStep.COMPLETE
    if reason == "timeout":
        return TaskStep.EXPIRE
    if reason == "canceled" and counts[ExecutionStatus.CANCELED] + counts[ExecutionStatus.LOST]:
        return TaskStep.CANCEL
    if counts[ExecutionStatus.CANCELED] == live.task.total_hosts:
        return TaskStep.CANCEL  # host by host
    return TaskStep.FAIL


def _show(world: EngineState, live: LiveTask) -> Task:
    """As it is now, without its targets. Copying it is a good part of what a small call costs: what is shown is also
    what is saved."""
    image = replace(live.task, targets=())
    world.act(Progress(image, tuple(islice(live.started, SLOWEST))))
    return image
