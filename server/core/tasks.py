"""Handlers of operators' requests about tasks, and the end of a task."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice

from server.core import retry
from server.core.effects import Forgotten, Progress, SaveTask
from server.core.events import (
    ExecutionsCanceled,
    ServerStopping,
    TaskCanceled,
    TaskCreated,
    TaskDeleted,
    TaskLoaded,
    TaskStarted,
)
from server.core.live import HostState, LiveExecution, LiveTask, StopRequest
from server.core.model import Execution, Task
from server.core.state import EngineState
from server.core.states import ExecutionStatus, TaskStatus, TaskStep
from server.core.timing.timers import ElapsedCheckpoint, OfflineWait

SLOWEST_SHOWN = 5
"""Hosts in a progress whose executions have been running longest."""


def created(state: EngineState, event: TaskCreated) -> None:
    """Add a task that was just committed."""
    pending = [0] * len(ExecutionStatus)
    pending[ExecutionStatus.PENDING] = len(event.task.targets)
    event.task.counts = tuple(pending)
    live_task = state.add_task(event.task, event.command, pending)
    state.status_counts.created(event.task)
    _publish(state, live_task)


def loaded(state: EngineState, event: TaskLoaded) -> None:
    """Add a task after a restart. Executions in flight wait for their agents; their deadlines start again."""
    task = event.task
    state.status_counts.reopened(task)
    live_task = state.add_task(task, event.command, task.counts)
    live_task.loaded = True
    live_task.rows_created = (
        task.status is not TaskStatus.PENDING
        or bool(event.executions)
        or task.counts[ExecutionStatus.PENDING] < len(task.targets)
    )
    for row in event.executions:
        execution = live_task.executions[row.host_id] = LiveExecution(row, live_task)
        if row.retry_at is not None:
            retry.restart_pause(state, execution)
        elif row.status is ExecutionStatus.PENDING:
            live_task.waiting.append(execution)
        else:
            _expect_host(state, live_task, execution)
    if task.status is TaskStatus.RUNNING:
        _resume_waiting(state, live_task)
        _track_elapsed(state, live_task)
        if task.cancel_reason is None:
            _set_timeout(state, live_task)
        _start_offline_wait(state, live_task)
        state.wake(live_task)
    if task.cancel_reason is not None:
        if task.status is TaskStatus.PENDING:
            create_rows(live_task)
        _stop(state, live_task, live_task.executions.values(), task.cancel_reason)
    _publish(state, live_task)


def _resume_waiting(state: EngineState, live_task: LiveTask) -> None:
    """Set since when the loaded executions wait to be sent.

    First attempts wait since the task's start, measured with the wall clock. The value is only shown; no decision
    depends on it. For further attempts the start of the wait is unknown, so it is now.
    """
    waiting = [
        execution for execution in live_task.executions.values() if execution.row.status is ExecutionStatus.PENDING
    ]
    started_at = live_task.task.started_at or state.now.wall_ms
    _begin_waiting(
        state,
        [execution for execution in waiting if execution.row.attempt == 1],
        state.now.mono - max(0, state.now.wall_ms - started_at) / 1000,
    )
    _begin_waiting(state, [execution for execution in waiting if execution.row.attempt > 1], state.now.mono)


def _track_elapsed(state: EngineState, live_task: LiveTask) -> None:
    """Start counting the time that a task with a time limit has run.

    Wall clocks can be changed, so elapsed time is accumulated from monotonic time and saved periodically. The time
    between two runs of the server does not count.
    """
    task = live_task.task
    if task.timeout_ms is not None or task.wait_ms is not None:
        live_task.elapsed = ElapsedCheckpoint(live_task, state.now.mono - task.spent_ms / 1000)
        state.deadlines.set(live_task.elapsed, state.now.mono + state.limits.elapsed_checkpoint_interval)


def checkpoint_due(state: EngineState, live_task: LiveTask) -> None:
    """Save the elapsed time of a task."""
    assert live_task.elapsed is not None
    state.deadlines.set(live_task.elapsed, state.now.mono + state.limits.elapsed_checkpoint_interval)
    state.touched[live_task] = None


def stopping(state: EngineState, event: ServerStopping) -> None:
    """Save the elapsed time of all tasks before the server stops."""
    state.touched.update({live_task: None for live_task in state.tasks.values() if live_task.elapsed is not None})


def _set_timeout(state: EngineState, live_task: LiveTask) -> None:
    """Set the deadline of a task that has a timeout."""
    if live_task.elapsed is not None and live_task.task.timeout_ms is not None:
        state.deadlines.set(live_task, live_task.elapsed.began + live_task.task.timeout_ms / 1000)


def _start_offline_wait(state: EngineState, live_task: LiveTask) -> None:
    """Set the deadline up to which a task waits for offline hosts."""
    if live_task.elapsed is not None and live_task.task.wait_ms is not None:
        live_task.offline_wait = OfflineWait(live_task)
        state.deadlines.set(live_task.offline_wait, live_task.elapsed.began + live_task.task.wait_ms / 1000)


def offline_wait_over(state: EngineState, live_task: LiveTask) -> None:
    """Stop waiting for hosts that are still offline."""
    _stop(state, live_task, live_task.executions.values(), "expired")


def _expect_host(state: EngineState, live_task: LiveTask, execution: LiveExecution) -> None:
    """Treat a loaded execution in flight like one whose host is offline."""
    row = execution.row
    host = state.hosts.setdefault(row.host_id, HostState(row.host_id))
    host.open[row.command_id] = execution
    live_task.in_flight += 1
    state.in_flight += 1
    if row.status is ExecutionStatus.RUNNING:
        live_task.started[row.host_id] = None
    if not row.unreachable:
        row.unreachable = True
        state.changed(execution)
    state.deadlines.set(execution, state.now.mono + state.limits.lost_after)


def started(state: EngineState, event: TaskStarted) -> None:
    """Start a pending task. A second start has no effect."""
    live_task = state.tasks.get(event.task_id)
    if live_task is None or live_task.task.status is not TaskStatus.PENDING or live_task.task.cancel_reason is not None:
        return
    live_task.task.started_at = state.now.wall_ms
    state.step_task(live_task, TaskStep.START)
    create_rows(live_task)
    _begin_waiting(state, live_task.executions.values(), state.now.mono)
    _track_elapsed(state, live_task)
    _set_timeout(state, live_task)
    _start_offline_wait(state, live_task)
    state.wake(live_task)


def _begin_waiting(state: EngineState, executions: Collection[LiveExecution], when: float) -> None:
    """Record that these executions wait to be sent.

    Args:
        state: The engine's state.
        executions: The executions.
        when: Monotonic seconds since when they wait.
    """
    if executions:
        waiting_group = state.measures.begin_wait(len(executions), when)
        for execution in executions:
            execution.waiting_group = waiting_group


def create_rows(live_task: LiveTask) -> None:
    """Create the task's executions, once. Executions that have ended leave memory and must not be created again."""
    if live_task.rows_created:
        return
    live_task.rows_created = True
    command_id = live_task.command.command_id
    for host_id in live_task.task.targets:
        execution = live_task.executions[host_id] = LiveExecution(Execution(command_id, host_id), live_task)
        live_task.waiting.append(execution)


def canceled(state: EngineState, event: TaskCanceled) -> None:
    """Cancel a task. It has no effect on a task that has ended or is already being ended, unless by force."""
    live_task = state.tasks.get(event.task_id)
    if live_task is None:
        return
    if live_task.task.cancel_reason is None:
        live_task.task.cancel_requested_at = state.now.wall_ms
        _stop_all(state, live_task, "canceled", force=event.force)
    elif event.force:
        _stop(state, live_task, live_task.executions.values(), live_task.task.cancel_reason, force=True)


def executions_canceled(state: EngineState, event: ExecutionsCanceled) -> None:
    """Cancel a task on some of its hosts."""
    live_task = state.tasks.get(event.task_id)
    if live_task is not None:
        if live_task.task.status is TaskStatus.PENDING:
            create_rows(live_task)
        found = (live_task.executions.get(host_id) for host_id in event.host_ids)
        _stop(
            state, live_task, [execution for execution in found if execution is not None], "canceled", force=event.force
        )


def timed_out(state: EngineState, live_task: LiveTask) -> None:
    """End a task whose timeout is over: waiting executions never start, running ones are ended as by a cancel.

    A cancel clears this deadline, so the first of the two determines the reason.
    """
    _stop_all(state, live_task, "timeout")


def _stop_all(state: EngineState, live_task: LiveTask, reason: str, *, force: bool = False) -> None:
    """End all executions of a task."""
    live_task.task.cancel_reason = reason
    state.deadlines.clear(live_task)
    state.touched[live_task] = None
    if live_task.task.status is TaskStatus.PENDING:
        create_rows(live_task)
    _stop(state, live_task, live_task.executions.values(), reason, force=force)


def _stop(
    state: EngineState, live_task: LiveTask, executions: Iterable[LiveExecution], reason: str, *, force: bool = False
) -> None:
    """Queue executions to be ended."""
    live_task.stopping.append(StopRequest(deque(executions), reason, force))
    state.stopping[live_task] = state.halted[live_task] = None


def forgotten(state: EngineState, event: TaskDeleted) -> None:
    """Remove a deleted task that never started or has ended."""
    live_task = state.tasks.get(event.task.task_id)
    if live_task is not None:
        state.drop_task(live_task)
    state.status_counts.deleted(event.task, was_open=live_task is not None)
    state.act(Forgotten(event.task.task_id))


def settle(state: EngineState) -> None:
    """Finish a call of the engine: update counts, end tasks without open executions, save and publish."""
    state.apply_counts()
    changed = [state.by_slot[slot] for slot in state.tally.take_changed() if slot in state.by_slot]
    for live_task in dict.fromkeys([*changed, *state.touched]):
        task = live_task.task
        task.counts = state.tally.counts(live_task.slot)
        if state.tally.open(live_task.slot) == 0:
            _finish(state, live_task)
        if live_task.elapsed is not None:
            task.spent_ms = int((state.now.mono - live_task.elapsed.began) * 1000)
        task.version += 1
        task.updated_at = state.now.wall_ms
        state.save(SaveTask(_publish(state, live_task)))


def _finish(state: EngineState, live_task: LiveTask) -> None:
    """End a task without open executions."""
    task = live_task.task
    task.finished_at = state.now.wall_ms
    state.step_task(live_task, _last_step(live_task))
    state.status_counts.settled(task)
    state.drop_task(live_task)


def _last_step(live_task: LiveTask) -> TaskStep:
    """Return the step that ends a task, from its counts and the reason of its cancel."""
    counts, reason = live_task.task.counts, live_task.task.cancel_reason
    if live_task.task.completed_hosts == live_task.task.total_hosts:
        return TaskStep.COMPLETE
    if reason == "timeout":
        return TaskStep.EXPIRE
    if reason == "canceled" and counts[ExecutionStatus.CANCELED] + counts[ExecutionStatus.LOST]:
        return TaskStep.CANCEL
    if counts[ExecutionStatus.CANCELED] == live_task.task.total_hosts:
        return TaskStep.CANCEL  # an operator canceled every host separately
    return TaskStep.FAIL


def _publish(state: EngineState, live_task: LiveTask) -> Task:
    """Publish a snapshot of the task without its targets, and return it.

    One copy serves both display and storage because copying dominates small calls.
    """
    image = replace(live_task.task, targets=())
    state.act(Progress(image, tuple(islice(live_task.started, SLOWEST_SHOWN))))
    return image
