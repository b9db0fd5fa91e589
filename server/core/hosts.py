"""Hosts that come, go and come back: who decides what about what they still hold."""

from __future__ import annotations

from server.core import rollback
from server.core.admission import lose, mark_suspect, renew_deadline
from server.core.effects import Decision, Verdict, Welcome
from server.core.events import HostConnected, HostDeleted, HostDisconnected, HostLoaded, JournalEntry, JournalStage
from server.core.executions import accept, start
from server.core.results import unmatched
from server.core.state import EngineState, HostState, LiveExecution
from server.core.states import ExecutionStatus

FORMER_JOURNALS = 4


def loaded(state: EngineState, event: HostLoaded) -> None:
    state.hosts[event.host_id] = HostState(
        event.host_id, seq=event.max_seq, seq_reserved=event.max_seq, loaded=True, epoch_seen=event.max_epoch
    )


def connected(state: EngineState, event: HostConnected) -> None:
    """Every entry of the Hello gets a verdict, every open row of this host is matched with the journal."""
    host = state.hosts.get(event.host_id)
    if host is None:
        host = state.hosts[event.host_id] = HostState(event.host_id)
    state.connected += host.session is None
    state.recent_disconnects.pop(event.host_id, None)
    is_late = event.journal_id in host.former_journals
    if host.journal_id not in (None, event.journal_id):
        host.former_journals = (*host.former_journals, host.journal_id)[-FORMER_JOURNALS:]
    if host.journal_id != event.journal_id:
        host.seq_forgotten = 0  # another journal has been told nothing yet
    unmatched.drop_delayed_acks(state, host)
    seen, given = rollback.plausible_seq(host, event), host.seq_reserved if host.loaded else 0
    if rollback.is_rolled_back(state, host, event):
        rollback.quarantine(state, host, event)
    host.session, host.journal_id = event.session, event.journal_id
    host.capacity = max(1, min(event.slots, state.limits.in_flight_per_host))
    # A host that has seen higher numbers than the store remembers: the database was set back. Never reuse one.
    host.seq, host.seq_seen = max(host.seq, seen), max(host.seq_seen, seen)
    host.loaded = False
    entries = {(entry.command_id, entry.attempt): entry for entry in event.entries}
    for command_id, attempt in entries:
        rollback.check_unsent(state, event.host_id, command_id, attempt)
    rollback.record_claims(state, host, list(entries.values()), given)
    executions = list(host.open.values())
    state.act(Welcome(event.host_id, event.session, _verdicts(state, event, host, entries)))
    for execution in executions:
        _resync(state, host, execution, entries.get((execution.row.command_id, execution.row.attempt)), is_late)
    state.forget(host, 1)
    state.unpark(host, len(host.parked))


def _verdicts(
    state: EngineState, event: HostConnected, host: HostState, entries: dict[tuple[str, int], JournalEntry]
) -> list[Verdict]:
    verdicts = []
    for (command_id, attempt), entry in entries.items():
        execution = host.open.get(command_id)
        if execution is not None and execution.row.attempt == attempt:
            # STOP says "canceled"; an end for another reason is end_requested_at for by a Cancel, which can say which.
            canceled = execution.row.cancel_requested_at is not None and execution.row.cancel_reason in (
                None,
                "canceled",
            )
            decision = Decision.STOP if canceled else Decision.KEEP
        elif entry.stage in (JournalStage.INTENT, JournalStage.RUNNING) and _is_superseded(
            state, event.host_id, command_id, attempt
        ):
            decision = Decision.STOP
        else:
            # Final, deleted or from another database: what was acknowledged stays so, anything else is kept and its
            # result
            # taken as late.
            decision = Decision.ACK if entry.stage is JournalStage.ACKED else Decision.KEEP
        verdicts.append(Verdict(command_id, attempt, decision))
    return verdicts


def _is_superseded(state: EngineState, host_id: str, command_id: str, attempt: int) -> bool:
    """A later attempt is under way."""
    live_task = state.by_command.get(command_id)
    execution = live_task.executions.get(host_id) if live_task is not None else None
    return execution is not None and execution.row.attempt > attempt


def _resync(
    state: EngineState, host: HostState, execution: LiveExecution, entry: JournalEntry | None, is_late: bool
) -> None:
    """is_late: the Hello is of a journal that was over already."""
    row = execution.row
    execution.suspect_until = None
    if row.unreachable:
        row.unreachable = False
        state.changed(execution)
    if row.journal_id != host.journal_id:
        if is_late:
            mark_suspect(state, execution)
        else:
            lose(state, execution, "journal_lost")
    elif entry is not None:
        if entry.stage is JournalStage.RUNNING:
            start(state, execution)
        else:
            accept(state, execution)  # its journal holds it, so it may have run, whatever is said of it later
        if row.cancel_requested_at is not None:
            _repeat_end_request(state, execution, entry)
        renew_deadline(state, execution)
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        _resend(state, host, execution)
    else:
        # It was accepted, and this Hello does not name it. Either the journal was set back, or the Hello is from an
        # earlier process of the
        # agent and was delayed: then its connection ends soon, and the next Hello tells.
        mark_suspect(state, execution)


def _repeat_end_request(state: EngineState, execution: LiveExecution, entry: JournalEntry) -> None:
    """While its host was away somebody wanted it to end. Nothing need be said of what has ended, or was told by a
    verdict."""
    execution.end_requested_at = state.now.mono
    if entry.stage in (JournalStage.INTENT, JournalStage.RUNNING) and execution.row.cancel_reason not in (
        None,
        "canceled",
    ):
        state.send_cancel(execution)


def _resend(state: EngineState, host: HostState, execution: LiveExecution) -> None:
    """The same journal has no trace of it: it never arrived, so it may go out once more under the same number."""
    row = execution.row
    assert host.session is not None and row.seq is not None
    if row.cancel_requested_at is not None:
        execution.end_requested_at = state.now.mono
        state.send_cancel(execution)
    else:
        state.dispatch(host.session, execution, row.seq)
    renew_deadline(state, execution)


def disconnected(state: EngineState, event: HostDisconnected) -> None:
    """Of no effect when a newer session is open. What runs goes on running: it is flagged, not judged."""
    host = state.hosts.get(event.host_id)
    if host is None or host.session != event.session:
        return
    host.session = None
    host.claims.clear()
    unmatched.drop_delayed_acks(state, host)
    state.connected -= 1
    rollback.record_disconnect(state, event.host_id)
    for execution in host.open.values():
        execution.row.unreachable, execution.end_requested_at, execution.suspect_until = True, None, None
        state.changed(execution)
        renew_deadline(state, execution)
    state.unpark(host, len(host.parked))


def forgotten(state: EngineState, event: HostDeleted) -> None:
    host = state.hosts.get(event.host_id)
    if host is not None and host.session is None and not host.open:
        state.unpark(host, len(host.parked))
        del state.hosts[event.host_id]
