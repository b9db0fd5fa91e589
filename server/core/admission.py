"""Who may go now: limits in flight over all, per task and per host, fair between tasks, in bounded slices."""

from __future__ import annotations

from server.core import retry
from server.core.states import ExecutionStatus, ExecutionStep
from server.core.world import Execution, Peer, Stop, World


def pump(world: World) -> None:
    """Take on at most one slice of what is to be stopped and of what waits."""
    budget = _stop(world, world.limits.slice)
    _admit(world, budget)


def has_more(world: World) -> bool:
    """Another slice is due at once. Full limits are not a reason: they open with the next result."""
    return bool(world.stopping) or (bool(world.ready) and world.in_flight < world.limits.in_flight)


def _admit(world: World, budget: int) -> None:
    # One execution of each task in turn: ten thousand hosts of one task do not hold up the single host of another.
    while budget > 0 and world.ready and world.in_flight < world.limits.in_flight:
        live = world.ready.popleft()
        if live.waiting and live.in_flight < live.limit:
            execution = live.waiting.popleft()
            if execution.row.status is ExecutionStatus.PENDING:
                _consider(world, execution)
                budget -= 1
            world.ready.append(live)
        else:
            live.ready = False


def _consider(world: World, execution: Execution) -> None:
    row = execution.row
    peer = world.peers.get(row.host_id)
    if peer is None:
        peer = world.peers[row.host_id] = Peer(row.host_id)
    if peer.session is None:
        _consider_absent(world, peer, execution)
    elif len(peer.open) >= peer.capacity or row.command_id in peer.open:
        world.park(peer, execution)
    else:
        _dispatch(world, peer, execution)


def _consider_absent(world: World, peer: Peer, execution: Execution) -> None:
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


def end_waiting(world: World, execution: Execution) -> None:
    """The task's patience with hosts that are not connected is over; there is no further attempt."""
    execution.row.error_code, execution.row.error_message = "expired", "the host was not connected within wait_for"
    world.step(execution, ExecutionStep.REFUSE)


def _dispatch(world: World, peer: Peer, execution: Execution) -> None:
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


def _stop(world: World, budget: int) -> int:
    while budget > 0 and world.stopping:
        live = world.stopping[0]
        if not live.stopping:
            world.stopping.popleft()
            continue
        stop = live.stopping.popleft()
        budget -= 1
        if not stop.execution.row.status.final:
            _stop_one(world, stop)
    return budget


def _stop_one(world: World, stop: Stop) -> None:
    execution, row = stop.execution, stop.execution.row
    if stop.reason == "expired":
        # Those that were not considered yet find the patience at its end when their turn comes.
        if row.status is ExecutionStatus.PENDING and world.waits_for_absent(execution):
            end_waiting(world, execution)
    elif row.status is not ExecutionStatus.PENDING:
        if stop.force and (row.unreachable or execution.doubt is not None):
            lose(world, execution, "force_canceled")
        else:
            ask_to_end(world, execution, stop.reason)
    elif stop.reason == "timeout":
        refuse(world, execution, "task_timeout")
    else:
        row.error_code = "canceled_before_start"
        world.step(execution, ExecutionStep.CANCEL)


def ask_to_end(world: World, execution: Execution, reason: str) -> None:
    """Its host decides how it ended; until it has said so, it is asked again and again. reason: canceled, timeout or expired."""
    row = execution.row
    if row.cancel_requested_at is None or (row.cancel_reason == "expired" and reason != "expired"):
        row.cancel_requested_at, row.cancel_reason = world.now.wall_ms, reason
        world.changed(execution)
    if execution.asked is None and not row.unreachable and execution.doubt is None:
        execution.asked = world.now.mono
    world.send_cancel(execution)
    renew_deadline(world, execution)


def end_if_unheard_of(world: World, execution: Execution) -> None:
    """Nobody has accepted it. The time that its host has for that counts from when it could leave."""
    departed, now = execution.departure.at, world.now.mono
    due = (now if departed is None else departed) + _to_be_accepted(world, execution)
    if due > now and execution.row.cancel_requested_at is None:
        world.deadlines.set(execution, due)
    else:
        ask_to_end(world, execution, "expired")


def keep(world: World, execution: Execution) -> None:
    """Its host has it after all: that nobody had said so in time is no reason to end it any more."""
    row = execution.row
    if row.cancel_reason == "expired":
        row.cancel_requested_at = row.cancel_reason = execution.asked = None
        world.changed(execution)


def doubt(world: World, execution: Execution) -> None:
    """Its host is connected and denies what it had accepted. When the host stays connected, the execution is lost; until then it is neither
    sent again nor asked to end, because a host that has no trace of it would answer that it never started."""
    execution.asked = None
    execution.doubt = world.now.mono + world.limits.doubt
    renew_deadline(world, execution)


def _to_be_accepted(world: World, execution: Execution) -> float:
    return world.limits.watchdog_margin + execution.live.command.start_within_ms / 1000


def lose(world: World, execution: Execution, reason: str) -> None:
    """It may have run and nobody can say. reason: a code of proto/reasons.py."""
    execution.row.error_code = reason
    if not retry.again(world, execution, ExecutionStatus.LOST):
        world.step(execution, ExecutionStep.LOSE)


def refuse(world: World, execution: Execution, reason: str, message: str | None = None) -> None:
    """This attempt never started and never will. reason: a code of proto/reasons.py."""
    execution.row.error_code = reason
    execution.row.error_message = message or None
    if not retry.again(world, execution, ExecutionStatus.DISPATCH_FAILED):
        world.step(execution, ExecutionStep.REFUSE)


def renew_deadline(world: World, execution: Execution) -> None:
    """Every dispatched or running execution has exactly one next moment at which somebody acts for it:

    away: given up after lost_after. In doubt: given up when that is believed. Asked to end: asked again. Not accepted: ended as expired.
    Otherwise: the watchdog, after the agent's own timeout and grace.
    """
    row, command, limits = execution.row, execution.live.command, world.limits
    if execution.doubt is not None:
        world.deadlines.set(execution, execution.doubt)
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
