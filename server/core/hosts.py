"""Hosts that connect and disconnect: what happens to their open executions."""

from __future__ import annotations

from server.core import rollback
from server.core.admission import lose, mark_suspect, renew_deadline
from server.core.effects import Decision, Verdict, Welcome
from server.core.events import HostConnected, HostDeleted, HostDisconnected, HostLoaded, JournalEntry, JournalStage
from server.core.executions import accept, start
from server.core.live import HostState, LiveExecution
from server.core.results import unmatched
from server.core.state import EngineState
from server.core.states import ExecutionStatus
from server.core.timing.mass_disconnect import record_disconnect

FORMER_JOURNALS = 4
"""Ids of earlier journals that are remembered per host."""


def loaded(state: EngineState, event: HostLoaded) -> None:
    """Add a host that is known from the store."""
    state.hosts[event.host_id] = HostState(
        event.host_id, seq=event.max_seq, seq_reserved=event.max_seq, loaded=True, epoch_seen=event.max_epoch
    )


def connected(state: EngineState, event: HostConnected) -> None:
    """Send a verdict on every entry of the Hello, and match every open execution of the host with the journal."""
    host = state.hosts.get(event.host_id)
    if host is None:
        host = state.hosts[event.host_id] = HostState(event.host_id)
    state.connected += host.session is None
    state.recent_disconnects.pop(event.host_id, None)
    is_late = event.journal_id in host.former_journals
    if host.journal_id not in (None, event.journal_id):
        host.former_journals = (*host.former_journals, host.journal_id)[-FORMER_JOURNALS:]
    if host.journal_id != event.journal_id:
        host.seq_forgotten = 0  # the server has sent no Forget to this journal
    unmatched.drop_delayed_acks(state, host)
    seen, given = rollback.plausible_seq(host, event), host.seq_reserved if host.loaded else 0
    if rollback.is_rolled_back(state, host, event):
        rollback.quarantine(state, host, event)
    host.session, host.journal_id = event.session, event.journal_id
    host.capacity = max(1, min(event.slots, state.limits.in_flight_per_host))
    # If the host has seen higher numbers than the store has, the database was rolled back. Never reuse a number.
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
            # STOP means "canceled". A request for another reason is sent as a Cancel, which carries the reason.
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
            # Final, deleted or from another database: an acknowledged entry stays acknowledged. The agent keeps any
            # other entry, and the server stores its result as a late one.
            decision = Decision.ACK if entry.stage is JournalStage.ACKED else Decision.KEEP
        verdicts.append(Verdict(command_id, attempt, decision))
    return verdicts


def _is_superseded(state: EngineState, host_id: str, command_id: str, attempt: int) -> bool:
    """Return whether a later attempt of the execution is open."""
    live_task = state.by_command.get(command_id)
    execution = live_task.executions.get(host_id) if live_task is not None else None
    return execution is not None and execution.row.attempt > attempt


def _resync(
    state: EngineState, host: HostState, execution: LiveExecution, entry: JournalEntry | None, is_late: bool
) -> None:
    """Match one open execution of the host with the Hello.

    Args:
        state: The engine's state.
        host: The host.
        execution: The execution.
        entry: The Hello's entry for it, or None.
        is_late: The Hello is from an earlier journal, so it arrived late.
    """
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
            accept(state, execution)  # the journal contains it, so it may have run, whatever later reports say
        if row.cancel_requested_at is not None:
            _repeat_end_request(state, execution, entry)
        renew_deadline(state, execution)
    elif row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        _resend(state, host, execution)
    else:
        # The Hello omits an accepted execution: the journal was rolled back, or the Hello is from a previous agent
        # process and arrived late. Such a connection ends soon, and the next Hello decides.
        mark_suspect(state, execution)


def _repeat_end_request(state: EngineState, execution: LiveExecution, entry: JournalEntry) -> None:
    """Ask again to end an execution, because the request may have been made while the host was offline.

    Nothing is sent for an execution that has ended or whose verdict already says STOP.
    """
    execution.end_requested_at = state.now.mono
    if entry.stage in (JournalStage.INTENT, JournalStage.RUNNING) and execution.row.cancel_reason not in (
        None,
        "canceled",
    ):
        state.send_cancel(execution)


def _resend(state: EngineState, host: HostState, execution: LiveExecution) -> None:
    """Send a dispatch once more under the same number: the same journal has no trace of it, so it never arrived."""
    row = execution.row
    assert host.session is not None and row.seq is not None
    if row.cancel_requested_at is not None:
        execution.end_requested_at = state.now.mono
        state.send_cancel(execution)
    else:
        state.dispatch(host.session, execution, row.seq)
    renew_deadline(state, execution)


def disconnected(state: EngineState, event: HostDisconnected) -> None:
    """Mark a host offline, unless it has a newer session. Running executions are only flagged unreachable."""
    host = state.hosts.get(event.host_id)
    if host is None or host.session != event.session:
        return
    host.session = None
    host.claims.clear()
    unmatched.drop_delayed_acks(state, host)
    state.connected -= 1
    record_disconnect(state, event.host_id)
    for execution in host.open.values():
        execution.row.unreachable, execution.end_requested_at, execution.suspect_until = True, None, None
        state.changed(execution)
        renew_deadline(state, execution)
    state.unpark(host, len(host.parked))


def forgotten(state: EngineState, event: HostDeleted) -> None:
    """Remove a deleted host, unless it is connected or has open executions."""
    host = state.hosts.get(event.host_id)
    if host is not None and host.session is None and not host.open:
        state.unpark(host, len(host.parked))
        del state.hosts[event.host_id]
