"""Detects that the database was rolled back or restored, and ends executions whose true state it no longer knows."""

from __future__ import annotations

from collections.abc import Sequence

from server.core.admission import lose
from server.core.effects import Alarm, Inquire, SaveOrphan, SaveSeq
from server.core.events import DatabaseRestored, HostConnected, JournalEntry, UnknownExecutions
from server.core.inputs.bounds import SEQ_LEAP, SEQ_MAX
from server.core.live import HostState, LiveExecution
from server.core.state import EngineState
from server.core.states import ExecutionStatus, TaskStatus
from server.core.tasks import create_rows

EPOCH_SEEN = "epoch_seen"
"""Key in the meta table of earlier releases: an epoch that an agent had reported.

One start takes it into account, within a small leap (server/store/lease.py). It is no longer written, because a
report of one host must not decide about the whole installation.
"""


def plausible_seq(host: HostState, event: HostConnected) -> int:
    """Return the highest dispatch number that the server believes this host has seen.

    It is the reported one, limited to what was reserved for the host and a leap for a database that was rolled back.
    """
    return min(event.max_seq, host.seq_reserved + SEQ_LEAP, SEQ_MAX)


def is_rolled_back(state: EngineState, host: HostState, event: HostConnected) -> bool:
    """Return whether the agent has seen higher numbers than the store has given out, so that the store was rolled back.

    An epoch that this host already reported at an earlier start proves nothing: this server's epochs may still be below
    it.
    """
    later = state.epoch > 0 and event.max_epoch > max(state.epoch, host.epoch_seen)
    return host.loaded and (event.max_seq > host.seq_reserved or later)


def quarantine(state: EngineState, host: HostState, event: HostConnected) -> None:
    """Give up executions that an earlier run of the server left open and that the host's journal lacks.

    The host's numbers are stored, so that the next start does not report another rollback. They count for this host
    only.
    """
    state.act(
        Alarm(
            "store_rolled_back",
            (
                f"host {host.host_id} has seen dispatch {event.max_seq} of epoch {event.max_epoch}; the database "
                f"has {host.seq_reserved} of epoch {state.epoch}"
            ),
        )
    )
    host.epoch_seen = max(host.epoch_seen, event.max_epoch)
    host.seq_reserved = max(host.seq_reserved, plausible_seq(host, event))
    state.save(SaveSeq(host.host_id, host.seq_reserved, host.epoch_seen))
    held = {(entry.command_id, entry.attempt) for entry in event.entries}
    for execution in _loaded_executions(state, host.host_id):
        row = execution.row
        if (
            row.command_id not in host.open
            or row.journal_id != event.journal_id
            or (row.command_id, row.attempt) not in held
        ):
            lose(state, execution, "rolled_back")


def check_unsent(state: EngineState, host_id: str, command_id: str, attempt: int) -> None:
    """Detect a rollback: an agent reports an attempt that, by the database, was never sent. It may have run."""
    live_task = state.by_command.get(command_id)
    if live_task is None:
        return
    if live_task.task.status is TaskStatus.PENDING and host_id in live_task.task.targets:
        create_rows(live_task)
    execution = live_task.executions.get(host_id)
    if execution is None:
        return
    row = execution.row
    if attempt > row.attempt or (attempt == row.attempt and row.status is ExecutionStatus.PENDING):
        state.act(
            Alarm("store_rolled_back", f"host {host_id} reports {command_id}, which by the database was never sent")
        )
        lose(state, execution, "rolled_back")


def record_claims(state: EngineState, host: HostState, entries: Sequence[JournalEntry], given: int) -> None:
    """Remember which executions of a Hello are not open, because the server expects reports about them.

    Executions whose number the loaded database has given out may be unknown to it. They prove that a part of the
    database is lost, so the store is asked about them.

    Args:
        state: The engine's state.
        host: The host.
        entries: Entries of the Hello.
        given: The highest dispatch number of the host in the database as it was loaded.
    """
    known = [
        entry
        for entry in entries
        if entry.command_id not in host.open and 0 < entry.seq <= max(host.seq_reserved, host.seq)
    ]
    host.claims = {(entry.command_id, entry.attempt): None for entry in known[: state.limits.claims]}
    unknown = [
        (entry.command_id, entry.attempt, entry.seq, int(entry.stage))
        for entry in known[: state.limits.claims]
        if entry.seq <= given
    ]
    if unknown:
        state.act(Inquire(host.host_id, unknown))


def unaccounted(state: EngineState, event: UnknownExecutions) -> None:
    """Record executions for which the database has given out a dispatch number and has no row."""
    for command_id, attempt, seq, stage in event.entries[: state.limits.orphans]:
        state.save(SaveOrphan(event.host_id, command_id, attempt, state.now.wall_ms, seq, stage))
    first = event.entries[0]
    text = (
        f"host {event.host_id} has {len(event.entries)} executions that the database dispatched and no longer "
        f"contains, the first is {first[0]}: a part of the database is lost"
    )
    state.act(Alarm("orphans", text))


def restored(state: EngineState, event: DatabaseRestored) -> None:
    """Make every open execution lost. After a restore, none may be started again and none is known to be unstarted."""
    for live_task in list(state.tasks.values()):
        if live_task.task.status is TaskStatus.PENDING:
            create_rows(live_task)
        for execution in list(live_task.executions.values()):
            lose(state, execution, "restored")


def _loaded_executions(state: EngineState, host_id: str) -> list[LiveExecution]:
    """Return this host's open executions that an earlier run of the server left."""
    found = []
    for live_task in state.tasks.values():
        if live_task.loaded:
            if live_task.task.status is TaskStatus.PENDING and host_id in live_task.task.targets:
                create_rows(live_task)
            execution = live_task.executions.get(host_id)
            if execution is not None:
                found.append(execution)
    return found
