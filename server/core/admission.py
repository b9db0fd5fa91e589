"""Who may go now: limits in flight over all, per task and per host, fair between tasks, in bounded slices."""

from __future__ import annotations

from collections import OrderedDict

from server.core import retry
from server.core.state import EngineState, Execution, HostState, LiveTask, Stop
from server.core.states import ExecutionStatus, ExecutionStep


def admit_slice(world: EngineState, *, everything: bool) -> None:
    """Take on at most one slice of what is to be stopped and of what waits.

    everything: of all tasks. Otherwise only of those for which this call has made work or room, so that what is done
    for a small task shares
    no transaction with a slice of a large one.
    """
    budget = _stop(world, world.limits.slice, world.stopping if everything else world.halted)
    if everything:
        # At most half of it, so that no number of small tasks keeps a large one from going on.
        used = _admit(world, (budget + 1) // 2, world.quick)
        _admit(world, budget - used, world.ready)
    else:
        _admit(world, budget, world.woken)


def has_more(world: EngineState) -> bool:
    """Another slice is due at once. Full limits are not a reason: they open with the next result."""
    return bool(world.stopping) or any(
        turns and world.in_flight < world.room(next(iter(turns))) for turns in (world.quick, world.ready)
    )


def _admit(world: EngineState, budget: int, turns: OrderedDict[LiveTask, None]) -> int:
    """How many were considered. One execution of each task in turn: ten thousand hosts of one task do not hold up the
    single host of another."""
    used = 0
    while used < budget and turns:
        live = next(iter(turns))
        if world.in_flight >= world.room(live):
            if turns is world.ready or turns is world.quick:
                break  # all of them are of one size
            del turns[live]
        elif not live.waiting or live.in_flight >= live.limit:
            turns.pop(live)
            world.turns(live).pop(live, None)
        else:
            execution = live.waiting.popleft()
            if execution.row.status is ExecutionStatus.PENDING:
                _consider(world, execution)
                used += 1
            turns.move_to_end(live)
    return used


def _consider(world: EngineState, execution: Execution) -> None:
    row = execution.row
    peer = world.peers.get(row.host_id)
    if peer is None:
        peer = world.peers[row.host_id] = HostState(row.host_id)
    if peer.session is None:
        _consider_absent(world, peer, execution)
    elif len(peer.open) >= peer.capacity or row.command_id in peer.open:
        world.park(peer, execution)
    else:
        _dispatch(world, peer, execution)


def _consider_absent(world: EngineState, peer: HostState, execution: Execution) -> None:
    patience, limits = execution.live.patience, world.limits
    if world.grace.ticket:
        world.park(peer, execution)
    elif patience is None:
        refuse(world, execution, "offline" if peer.journal_id or peer.seq_reserved else "never_seen")
    elif not patience.ticket:
        end_waiting(world, execution)
    elif len(peer.parked) >= limits.waiting_per_host or world.parked >= limits.waiting:
        refuse(world, execution, "queue_full")
    else:
        world.park(peer, execution)


def end_waiting(world: EngineState, execution: Execution) -> None:
    """The task's patience with hosts that are not connected is over; there is no further attempt."""
    execution.row.error_code, execution.row.error_message = "expired", "the host was not connected within wait_for"
    world.step(execution, ExecutionStep.REFUSE)


def _dispatch(world: EngineState, peer: HostState, execution: Execution) -> None:
    row, live = execution.row, execution.live
    assert peer.session is not None
    peer.open[row.command_id] = execution
    live.in_flight += 1
    world.in_flight += 1
    row.seq = world.next_seq(peer)
    row.journal_id = peer.journal_id
    row.dispatched_at = world.now.wall_ms
    world.step(execution, ExecutionStep.DISPATCH)
    renew_deadline(world, execution)
    world.dispatch(peer.session, execution, row.seq)


def _stop(world: EngineState, budget: int, turns: OrderedDict[LiveTask, None]) -> int:
    """Use the rest of the budget, with one execution of each task in turn."""
    while budget > 0 and turns:
        live = next(iter(turns))
        if not live.stopping:
            del turns[live]
            world.stopping.pop(live, None)
            continue
        stop = live.stopping[0]
        if stop.executions:
            budget -= 1
            execution = stop.executions.popleft()
            if not execution.row.status.final:
                _stop_one(world, execution, stop)
        else:
            live.stopping.popleft()
        turns.move_to_end(live)
    return budget


def _stop_one(world: EngineState, execution: Execution, stop: Stop) -> None:
    row = execution.row
    if stop.reason == "expired":
        # Those that were not considered yet find the patience at its end when their turn comes.
        if row.status is ExecutionStatus.PENDING and world.waits_for_absent(execution):
            end_waiting(world, execution)
    elif row.status is not ExecutionStatus.PENDING:
        if stop.force and (row.unreachable or execution.suspect_until is not None):
            lose(world, execution, "force_canceled")
        else:
            ask_to_end(world, execution, stop.reason)
    elif stop.reason == "timeout":
        refuse(world, execution, "task_timeout")
    else:
        row.error_code = "canceled_before_start"
        world.step(execution, ExecutionStep.CANCEL)


def ask_to_end(world: EngineState, execution: Execution, reason: str) -> None:
    """Its host decides how it ended; until it has said so, it is asked again and again. reason: canceled, timeout or
    expired."""
    row = execution.row
    if row.cancel_requested_at is None or (row.cancel_reason == "expired" and reason != "expired"):
        row.cancel_requested_at, row.cancel_reason = world.now.wall_ms, reason
        world.changed(execution)
    if execution.asked is None and not row.unreachable and execution.suspect_until is None:
        execution.asked = world.now.mono
    world.send_cancel(execution)
    renew_deadline(world, execution)


def end_if_unheard_of(world: EngineState, execution: Execution) -> None:
    """Nobody has accepted it. The time that its host has for that counts from when it could leave."""
    departed, now = execution.departure.at, world.now.mono
    due = (now if departed is None else departed) + _to_be_accepted(world, execution)
    if due > now and execution.row.cancel_requested_at is None:
        world.deadlines.set(execution, due)
    else:
        ask_to_end(world, execution, "expired")


def clear_expiry(world: EngineState, execution: Execution) -> None:
    """Its host has it after all: that nobody had said so in time is no reason to end it any more."""
    row = execution.row
    if row.cancel_reason == "expired":
        row.cancel_requested_at = row.cancel_reason = execution.asked = None
        world.changed(execution)


def suspect_until(world: EngineState, execution: Execution) -> None:
    """Its host is connected and denies what it had accepted. When the host stays connected, the execution is lost;
    until then it is neither
    sent again nor asked to end, because a host that has no trace of it would answer that it never started."""
    execution.asked = None
    execution.suspect_until = world.now.mono + world.limits.suspect_until
    renew_deadline(world, execution)


def _to_be_accepted(world: EngineState, execution: Execution) -> float:
    return world.limits.watchdog_margin + execution.live.command.start_within_ms / 1000


def lose(world: EngineState, execution: Execution, reason: str) -> None:
    """It may have run and nobody can say. reason: a code of proto/reasons.py."""
    execution.row.error_code = reason
    if not retry.try_retry(world, execution, ExecutionStatus.LOST):
        world.step(execution, ExecutionStep.LOSE)


def refuse(world: EngineState, execution: Execution, reason: str, message: str | None = None) -> None:
    """This attempt never started and never will. reason: a code of proto/reasons.py."""
    execution.row.error_code = reason
    execution.row.error_message = message or None
    if not retry.try_retry(world, execution, ExecutionStatus.DISPATCH_FAILED):
        world.step(execution, ExecutionStep.REFUSE)


def renew_deadline(world: EngineState, execution: Execution) -> None:
    """Every dispatched or running execution has exactly one next moment at which somebody acts for it:

    away: given up after lost_after. In doubt: given up when that is believed. Asked to end: asked again. Not accepted:
    ended as expired.
    Otherwise: the watchdog, after the agent's own timeout and grace.
    """
    row, command, limits = execution.row, execution.live.command, world.limits
    if execution.suspect_until is not None:
        world.deadlines.set(execution, execution.suspect_until)
        return
    if row.unreachable:
        wait = limits.lost_after
    elif row.cancel_requested_at is not None:
        wait = limits.cancel_retry + command.grace_ms / 1000
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        wait = _to_be_accepted(world, execution)
    elif command.timeout_ms:
        wait = limits.watchdog_margin + (command.timeout_ms + command.grace_ms) / 1000
    else:
        world.deadlines.clear(execution)
        return
    world.deadlines.set(execution, world.now.mono + wait)
