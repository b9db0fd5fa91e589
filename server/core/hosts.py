"""Hosts that come, go and come back: who decides what about what they still hold."""

from __future__ import annotations

from server.core import rollback
from server.core.admission import lose, renew_deadline, suspect_until
from server.core.effects import Decision, Verdict, Welcome
from server.core.events import Entry, HostConnected, HostDisconnected, HostForgotten, HostLoaded, Stage
from server.core.executions import accept, start
from server.core.results import unmatched
from server.core.state import EngineState, Execution, HostState
from server.core.states import ExecutionStatus

FORMER_JOURNALS = 4


def loaded(world: EngineState, event: HostLoaded) -> None:
    world.peers[event.host_id] = HostState(
        event.host_id, seq=event.max_seq, seq_reserved=event.max_seq, loaded=True, epoch_seen=event.max_epoch
    )


def connected(world: EngineState, event: HostConnected) -> None:
    """Every entry of the Hello gets a verdict, every open row of this host is matched with the journal."""
    peer = world.peers.get(event.host_id)
    if peer is None:
        peer = world.peers[event.host_id] = HostState(event.host_id)
    world.connected += peer.session is None
    world.left.pop(event.host_id, None)
    is_late = event.journal_id in peer.former
    if peer.journal_id not in (None, event.journal_id):
        peer.former = (*peer.former, peer.journal_id)[-FORMER_JOURNALS:]
    if peer.journal_id != event.journal_id:
        peer.forgotten = 0  # another journal has been told nothing yet
    unmatched.forget(world, peer)
    seen, given = rollback.believed_seq(peer, event), peer.seq_reserved if peer.loaded else 0
    if rollback.is_behind(world, peer, event):
        rollback.quarantine(world, peer, event)
    peer.session, peer.journal_id = event.session, event.journal_id
    peer.capacity = max(1, min(event.slots, world.limits.in_flight_per_host))
    # A host that has seen higher numbers than the store remembers: the database was set back. Never reuse one.
    peer.seq, peer.seen = max(peer.seq, seen), max(peer.seen, seen)
    peer.loaded = False
    entries = {(entry.command_id, entry.attempt): entry for entry in event.entries}
    for command_id, attempt in entries:
        rollback.was_sent(world, event.host_id, command_id, attempt)
    rollback.claim(world, peer, list(entries.values()), given)
    executions = list(peer.open.values())
    world.act(Welcome(event.host_id, event.session, _verdicts(world, event, peer, entries)))
    for execution in executions:
        _resync(world, peer, execution, entries.get((execution.row.command_id, execution.row.attempt)), is_late)
    world.forget(peer, 1)
    world.unpark(peer, len(peer.parked))


def _verdicts(
    world: EngineState, event: HostConnected, peer: HostState, entries: dict[tuple[str, int], Entry]
) -> list[Verdict]:
    verdicts = []
    for (command_id, attempt), entry in entries.items():
        execution = peer.open.get(command_id)
        if execution is not None and execution.row.attempt == attempt:
            # STOP says "canceled"; an end for another reason is asked for by a Cancel, which can say which.
            canceled = execution.row.cancel_requested_at is not None and execution.row.cancel_reason in (
                None,
                "canceled",
            )
            decision = Decision.STOP if canceled else Decision.KEEP
        elif entry.stage in (Stage.INTENT, Stage.RUNNING) and _is_superseded(world, event.host_id, command_id, attempt):
            decision = Decision.STOP
        else:
            # Final, deleted or from another database: what was acknowledged stays so, anything else is kept and its
            # result
            # taken as late.
            decision = Decision.ACK if entry.stage is Stage.ACKED else Decision.KEEP
        verdicts.append(Verdict(command_id, attempt, decision))
    return verdicts


def _is_superseded(world: EngineState, host_id: str, command_id: str, attempt: int) -> bool:
    """A later attempt is under way."""
    live = world.by_command.get(command_id)
    execution = live.executions.get(host_id) if live is not None else None
    return execution is not None and execution.row.attempt > attempt


def _resync(world: EngineState, peer: HostState, execution: Execution, entry: Entry | None, is_late: bool) -> None:
    """is_late: the Hello is of a journal that was over already."""
    row = execution.row
    execution.suspect_until = None
    if row.unreachable:
        row.unreachable = False
        world.changed(execution)
    if row.journal_id != peer.journal_id:
        if is_late:
            suspect_until(world, execution)
        else:
            lose(world, execution, "journal_lost")
    elif entry is not None:
        if entry.stage is Stage.RUNNING:
            start(world, execution)
        else:
            accept(world, execution)  # its journal holds it, so it may have run, whatever is said of it later
        if row.cancel_requested_at is not None:
            _ask_again(world, execution, entry)
        renew_deadline(world, execution)
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        _send_again(world, peer, execution)
    else:
        # It was accepted, and this Hello does not name it. Either the journal was set back, or the Hello is from an
        # earlier process of the
        # agent and was delayed: then its connection ends soon, and the next Hello tells.
        suspect_until(world, execution)


def _ask_again(world: EngineState, execution: Execution, entry: Entry) -> None:
    """While its host was away somebody wanted it to end. Nothing need be said of what has ended, or was told by a
    verdict."""
    execution.asked = world.now.mono
    if entry.stage in (Stage.INTENT, Stage.RUNNING) and execution.row.cancel_reason not in (None, "canceled"):
        world.send_cancel(execution)


def _send_again(world: EngineState, peer: HostState, execution: Execution) -> None:
    """The same journal has no trace of it: it never arrived, so it may go out once more under the same number."""
    row = execution.row
    assert peer.session is not None and row.seq is not None
    if row.cancel_requested_at is not None:
        execution.asked = world.now.mono
        world.send_cancel(execution)
    else:
        world.dispatch(peer.session, execution, row.seq)
    renew_deadline(world, execution)


def disconnected(world: EngineState, event: HostDisconnected) -> None:
    """Of no effect when a newer session is open. What runs goes on running: it is flagged, not judged."""
    peer = world.peers.get(event.host_id)
    if peer is None or peer.session != event.session:
        return
    peer.session = None
    peer.claims.clear()
    unmatched.forget(world, peer)
    world.connected -= 1
    rollback.gone(world, event.host_id)
    for execution in peer.open.values():
        execution.row.unreachable, execution.asked, execution.suspect_until = True, None, None
        world.changed(execution)
        renew_deadline(world, execution)
    world.unpark(peer, len(peer.parked))


def forgotten(world: EngineState, event: HostForgotten) -> None:
    peer = world.peers.get(event.host_id)
    if peer is not None and peer.session is None and not peer.open:
        world.unpark(peer, len(peer.parked))
        del world.peers[event.host_id]
