"""Admission control: global, per-task and per-host in-flight limits, fair across tasks.

The work is done in bounded slices, one execution of each task in turn.
"""

from __future__ import annotations

from collections import OrderedDict

from server.core import retry
from server.core.live import HostState, LiveExecution, LiveTask, StopRequest
from server.core.state import EngineState
from server.core.states import ExecutionStatus, ExecutionStep


def admit_slice(state: EngineState, *, everything: bool) -> None:
    """Stop and admit executions, up to one slice of both together.

    Args:
        state: The engine's state.
        everything: Consider all tasks. Otherwise only tasks for which this call has freed capacity or created work are
            considered, so that the work for a small task shares no transaction with a slice of a large one.
    """
    budget = _stop(state, state.limits.slice, state.stopping if everything else state.halted)
    if everything:
        # Small tasks get at most half of the budget, so that many of them cannot stop a large one.
        used = _admit(state, (budget + 1) // 2, state.ready_small)
        _admit(state, budget - used, state.ready_large)
    else:
        _admit(state, budget, state.woken)


def has_more(state: EngineState) -> bool:
    """Return whether another slice is due at once. While all limits are reached, the next result triggers it."""
    return bool(state.stopping) or any(
        queue and state.in_flight < state.in_flight_limit(next(iter(queue)))
        for queue in (state.ready_small, state.ready_large)
    )


def _admit(state: EngineState, budget: int, queue: OrderedDict[LiveTask, None]) -> int:
    """Try to dispatch up to `budget` executions, one of each task in turn, and return how many were tried.

    Taking turns keeps a task on 10,000 hosts from delaying a task on one host.
    """
    used = 0
    while used < budget and queue:
        live_task = next(iter(queue))
        if state.in_flight >= state.in_flight_limit(live_task):
            if queue is state.ready_large or queue is state.ready_small:
                break  # all tasks of this queue have the same limit
            del queue[live_task]
        elif not live_task.waiting or live_task.in_flight >= live_task.limit:
            queue.pop(live_task)
            state.ready_queue(live_task).pop(live_task, None)
        else:
            execution = live_task.waiting.popleft()
            if execution.row.status is ExecutionStatus.PENDING:
                _try_dispatch(state, execution)
                used += 1
            queue.move_to_end(live_task)
    return used


def _try_dispatch(state: EngineState, execution: LiveExecution) -> None:
    """Dispatch an execution, or let it wait for its host, or refuse it."""
    row = execution.row
    host = state.hosts.get(row.host_id)
    if host is None:
        host = state.hosts[row.host_id] = HostState(row.host_id)
    if host.session is None:
        _park_or_refuse(state, host, execution)
    elif len(host.open) >= host.capacity or row.command_id in host.open:
        state.park(host, execution)
    else:
        _dispatch(state, host, execution)


def _park_or_refuse(state: EngineState, host: HostState, execution: LiveExecution) -> None:
    """Let an execution wait for an offline host if its task does and the limits allow it; otherwise refuse it."""
    offline_wait, limits = execution.live_task.offline_wait, state.limits
    if state.grace.ticket:
        state.park(host, execution)
    elif offline_wait is None:
        refuse(state, execution, "offline" if host.journal_id or host.seq_reserved else "never_seen")
    elif not offline_wait.ticket:
        expire_waiting(state, execution)
    elif len(host.parked) >= limits.waiting_per_host or state.parked >= limits.waiting:
        refuse(state, execution, "queue_full")
    else:
        state.park(host, execution)


def expire_waiting(state: EngineState, execution: LiveExecution) -> None:
    """End an execution whose host did not connect within the task's `wait_for`. There is no further attempt."""
    execution.row.error_code, execution.row.error_message = "expired", "the host was not connected within wait_for"
    state.step(execution, ExecutionStep.REFUSE)


def _dispatch(state: EngineState, host: HostState, execution: LiveExecution) -> None:
    row, live_task = execution.row, execution.live_task
    assert host.session is not None
    host.open[row.command_id] = execution
    live_task.in_flight += 1
    state.in_flight += 1
    row.seq = state.next_seq(host)
    row.journal_id = host.journal_id
    row.dispatched_at = state.now.wall_ms
    state.step(execution, ExecutionStep.DISPATCH)
    renew_deadline(state, execution)
    state.dispatch(host.session, execution, row.seq)


def _stop(state: EngineState, budget: int, queue: OrderedDict[LiveTask, None]) -> int:
    """Stop up to `budget` executions, one of each task in turn, and return the unused part of the budget."""
    while budget > 0 and queue:
        live_task = next(iter(queue))
        if not live_task.stopping:
            del queue[live_task]
            state.stopping.pop(live_task, None)
            continue
        stop = live_task.stopping[0]
        if stop.executions:
            budget -= 1
            execution = stop.executions.popleft()
            if not execution.row.status.final:
                _stop_one(state, execution, stop)
        else:
            live_task.stopping.popleft()
        queue.move_to_end(live_task)
    return budget


def _stop_one(state: EngineState, execution: LiveExecution, stop: StopRequest) -> None:
    row = execution.row
    if stop.reason == "expired":
        # Executions that were not tried yet expire when their turn comes.
        if row.status is ExecutionStatus.PENDING and state.waits_for_offline_host(execution):
            expire_waiting(state, execution)
    elif row.status is not ExecutionStatus.PENDING:
        if stop.force and (row.unreachable or execution.suspect_until is not None):
            lose(state, execution, "force_canceled")
        else:
            request_end(state, execution, stop.reason)
    elif stop.reason == "timeout":
        refuse(state, execution, "task_timeout")
    else:
        row.error_code = "canceled_before_start"
        state.step(execution, ExecutionStep.CANCEL)


def request_end(state: EngineState, execution: LiveExecution, reason: str) -> None:
    """Ask the host to end an execution. The host reports how it ended.

    The request is repeated until the host answers.

    Args:
        state: The engine's state.
        execution: A dispatched or running execution.
        reason: `canceled`, `timeout` or `expired`.
    """
    row = execution.row
    if row.cancel_requested_at is None or (row.cancel_reason == "expired" and reason != "expired"):
        row.cancel_requested_at, row.cancel_reason = state.now.wall_ms, reason
        state.changed(execution)
    if execution.end_requested_at is None and not row.unreachable and execution.suspect_until is None:
        execution.end_requested_at = state.now.mono
    state.send_cancel(execution)
    renew_deadline(state, execution)


def expire_if_not_accepted(state: EngineState, execution: LiveExecution) -> None:
    """End an execution that its host has not accepted in time. The time counts from when the dispatch could be sent."""
    departed, now = execution.send_time.at, state.now.mono
    due = (now if departed is None else departed) + _accept_timeout(state, execution)
    if due > now and execution.row.cancel_requested_at is None:
        state.deadlines.set(execution, due)
    else:
        request_end(state, execution, "expired")


def clear_expiry(state: EngineState, execution: LiveExecution) -> None:
    """Cancel a pending expiry, because the host has accepted the execution."""
    row = execution.row
    if row.cancel_reason == "expired":
        row.cancel_requested_at = row.cancel_reason = execution.end_requested_at = None
        state.changed(execution)


def mark_suspect(state: EngineState, execution: LiveExecution) -> None:
    """Mark an execution that its connected host accepted earlier and now denies. It becomes lost later.

    Until then the server neither sends it again nor asks to end it: a host without a trace of it would answer that it
    never started.
    """
    execution.end_requested_at = None
    execution.suspect_until = state.now.mono + state.limits.suspect_until
    renew_deadline(state, execution)


def _accept_timeout(state: EngineState, execution: LiveExecution) -> float:
    """Return the seconds in which a host must accept an execution."""
    return state.limits.watchdog_margin + execution.live_task.command.start_within_ms / 1000


def lose(state: EngineState, execution: LiveExecution, reason: str) -> None:
    """End an execution that may have run and whose end cannot be known, or start another attempt.

    Args:
        state: The engine's state.
        execution: The execution.
        reason: A code of proto/reasons.py.
    """
    execution.row.error_code = reason
    if not retry.try_retry(state, execution, ExecutionStatus.LOST):
        state.step(execution, ExecutionStep.LOSE)


def refuse(state: EngineState, execution: LiveExecution, reason: str, message: str | None = None) -> None:
    """End an attempt that never started and never will, or start another attempt.

    Args:
        state: The engine's state.
        execution: The execution.
        reason: A code of proto/reasons.py.
        message: Details for people, or None.
    """
    execution.row.error_code = reason
    execution.row.error_message = message or None
    if not retry.try_retry(state, execution, ExecutionStatus.DISPATCH_FAILED):
        state.step(execution, ExecutionStep.REFUSE)


def renew_deadline(state: EngineState, execution: LiveExecution) -> None:
    """Set the one deadline of a dispatched or running execution.

    - Suspect: it becomes lost at `suspect_until`.
    - Host offline: it becomes lost after `lost_after`.
    - Asked to end: the request is repeated.
    - Not accepted: it is ended as expired.
    - Otherwise: the watchdog acts after the agent's own timeout and grace. Without a timeout there is no deadline.
    """
    row, command, limits = execution.row, execution.live_task.command, state.limits
    if execution.suspect_until is not None:
        state.deadlines.set(execution, execution.suspect_until)
        return
    if row.unreachable:
        wait = limits.lost_after
    elif row.cancel_requested_at is not None:
        wait = limits.cancel_retry + command.grace_ms / 1000
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        wait = _accept_timeout(state, execution)
    elif command.timeout_ms:
        wait = limits.watchdog_margin + (command.timeout_ms + command.grace_ms) / 1000
    else:
        state.deadlines.clear(execution)
        return
    state.deadlines.set(execution, state.now.mono + wait)
