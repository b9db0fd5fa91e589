"""Who may go now: limits in flight over all, per task and per host, fair between tasks, in bounded slices."""

from __future__ import annotations

from collections import OrderedDict

from server.core import retry
from server.core.state import EngineState, HostState, LiveExecution, LiveTask, StopRequest
from server.core.states import ExecutionStatus, ExecutionStep


def admit_slice(state: EngineState, *, everything: bool) -> None:
    """Take on at most one slice of what is to be stopped and of what waits.

    everything: of all tasks. Otherwise only of those for which this call has created work or room, so that what is done
    for a small task shares
    no transaction with a slice of a large one.
    """
    budget = _stop(state, state.limits.slice, state.stopping if everything else state.halted)
    if everything:
        # At most half of it, so that no number of small tasks keeps a large one from going on.
        used = _admit(state, (budget + 1) // 2, state.ready_small)
        _admit(state, budget - used, state.ready_large)
    else:
        _admit(state, budget, state.woken)


def has_more(state: EngineState) -> bool:
    """Another slice is due at once. Full limits are not a reason: they open with the next result."""
    return bool(state.stopping) or any(
        turns and state.in_flight < state.in_flight_limit(next(iter(turns)))
        for turns in (state.ready_small, state.ready_large)
    )


def _admit(state: EngineState, budget: int, turns: OrderedDict[LiveTask, None]) -> int:
    """How many were considered. One execution of each task in turn: ten thousand hosts of one task do not hold up the
    single host of another."""
    used = 0
    while used < budget and turns:
        live_task = next(iter(turns))
        if state.in_flight >= state.in_flight_limit(live_task):
            if turns is state.ready_large or turns is state.ready_small:
                break  # all of them are of one size
            del turns[live_task]
        elif not live_task.waiting or live_task.in_flight >= live_task.limit:
            turns.pop(live_task)
            state.ready_queue(live_task).pop(live_task, None)
        else:
            execution = live_task.waiting.popleft()
            if execution.row.status is ExecutionStatus.PENDING:
                _try_dispatch(state, execution)
                used += 1
            turns.move_to_end(live_task)
    return used


def _try_dispatch(state: EngineState, execution: LiveExecution) -> None:
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
    """The wait of the task for hosts that are not connected is over; there is no further attempt."""
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


def _stop(state: EngineState, budget: int, turns: OrderedDict[LiveTask, None]) -> int:
    """Use the rest of the budget, with one execution of each task in turn."""
    while budget > 0 and turns:
        live_task = next(iter(turns))
        if not live_task.stopping:
            del turns[live_task]
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
        turns.move_to_end(live_task)
    return budget


def _stop_one(state: EngineState, execution: LiveExecution, stop: StopRequest) -> None:
    row = execution.row
    if stop.reason == "expired":
        # Those that were not considered yet find the offline_wait at its end when their turn comes.
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
    """Its host decides how it ended; until it has said so, it is asked again. reason: canceled, timeout or
    expired."""
    row = execution.row
    if row.cancel_requested_at is None or (row.cancel_reason == "expired" and reason != "expired"):
        row.cancel_requested_at, row.cancel_reason = state.now.wall_ms, reason
        state.changed(execution)
    if execution.end_requested_at is None and not row.unreachable and execution.suspect_until is None:
        execution.end_requested_at = state.now.mono
    state.send_cancel(execution)
    renew_deadline(state, execution)


def expire_if_not_accepted(state: EngineState, execution: LiveExecution) -> None:
    """Nobody has accepted it. The time that its host has for that counts from when it could leave."""
    departed, now = execution.send_time.at, state.now.mono
    due = (now if departed is None else departed) + _accept_timeout(state, execution)
    if due > now and execution.row.cancel_requested_at is None:
        state.deadlines.set(execution, due)
    else:
        request_end(state, execution, "expired")


def clear_expiry(state: EngineState, execution: LiveExecution) -> None:
    """Its host has it after all: that nobody had said so in time is no reason to end it any more."""
    row = execution.row
    if row.cancel_reason == "expired":
        row.cancel_requested_at = row.cancel_reason = execution.end_requested_at = None
        state.changed(execution)


def mark_suspect(state: EngineState, execution: LiveExecution) -> None:
    """Its host is connected and denies what it had accepted. When the host stays connected, the execution is lost;
    until then it is neither
    sent again nor asked to end, because a host that has no trace of it would answer that it never started."""
    execution.end_requested_at = None
    execution.suspect_until = state.now.mono + state.limits.suspect_until
    renew_deadline(state, execution)


def _accept_timeout(state: EngineState, execution: LiveExecution) -> float:
    return state.limits.watchdog_margin + execution.live_task.command.start_within_ms / 1000


def lose(state: EngineState, execution: LiveExecution, reason: str) -> None:
    """It may have run and nobody can say. reason: a code of proto/reasons.py."""
    execution.row.error_code = reason
    if not retry.try_retry(state, execution, ExecutionStatus.LOST):
        state.step(execution, ExecutionStep.LOSE)


def refuse(state: EngineState, execution: LiveExecution, reason: str, message: str | None = None) -> None:
    """This attempt never started and never will. reason: a code of proto/reasons.py."""
    execution.row.error_code = reason
    execution.row.error_message = message or None
    if not retry.try_retry(state, execution, ExecutionStatus.DISPATCH_FAILED):
        state.step(execution, ExecutionStep.REFUSE)


def renew_deadline(state: EngineState, execution: LiveExecution) -> None:
    """Every dispatched or running execution has exactly one next moment at which somebody acts for it:

    away: given up after lost_after. In doubt: given up when that is believed. Asked to end: asked again. Not accepted:
    ended as expired.
    Otherwise: the watchdog, after the agent's own timeout and grace.
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
