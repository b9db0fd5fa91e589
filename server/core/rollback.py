"""When the fault may be our own: many hosts gone at once, or a database that remembers less than its agents do."""

from __future__ import annotations

from collections.abc import Sequence

from server.core.admission import lose
from server.core.effects import Alarm, Inquire, SaveOrphan, SaveSeq
from server.core.events import DatabaseRestored, HostConnected, JournalEntry, UnknownExecutions
from server.core.inputs.bounds import SEQ_LEAP, SEQ_MAX
from server.core.state import EngineState, HostState, LiveExecution
from server.core.states import ExecutionStatus, TaskStatus
from server.core.tasks import create_rows

EPOCH_SEEN = "epoch_seen"
"""In the facts of databases of earlier releases: an epoch that an agent had met. Taken into account by one start, and
only within a small leap
(server/store/lease.py); no longer written, because what one host says is not believed about the installation as a
whole."""


def record_disconnect(state: EngineState, host_id: str) -> None:
    """One more host is away. Too many of them within the window are taken for a fault of ours (Kubernetes does so with
    zones)."""
    limits, now = state.limits, state.now.mono
    state.recent_disconnects.pop(host_id, None)
    state.recent_disconnects[host_id] = now
    while (first := next(iter(state.recent_disconnects))) and now - state.recent_disconnects[
        first
    ] > limits.mass_window:
        del state.recent_disconnects[first]
    away = len(state.recent_disconnects)
    if (
        away >= limits.mass_hosts
        and away > limits.mass_share * (state.connected + away)
        and now >= state.loss_suspended_until
    ):
        state.loss_suspended_until = now + limits.mass_pause
        text = (
            f"{away} of {state.connected + away} hosts went away within {limits.mass_window:g} s; none is called "
            f"lost for {limits.mass_pause:g} s"
        )
        state.act(Alarm("mass_silence", text))


def plausible_seq(host: HostState, event: HostConnected) -> int:
    """The highest dispatch number that this host can honestly have met: what was reserved for it, and a leap for a
    database set back."""
    return min(event.max_seq, host.seq_reserved + SEQ_LEAP, SEQ_MAX)


def is_rolled_back(state: EngineState, host: HostState, event: HostConnected) -> bool:
    """The agent has met higher numbers than the store remembers giving: the store was set back. An epoch that this host
    has claimed at an
    earlier start proves nothing new: this server's epochs may still be below it."""
    later = state.epoch > 0 and event.max_epoch > max(state.epoch, host.epoch_seen)
    return host.loaded and (event.max_seq > host.seq_reserved or later)


def quarantine(state: EngineState, host: HostState, event: HostConnected) -> None:
    """Of what the store knew before this start, only what this very journal still holds is still true of this host. Its
    numbers are stored, so
    that the next start does not take them for another loss; they count for this host alone."""
    state.act(
        Alarm(
            "store_rolled_back",
            (
                f"host {host.host_id} has met dispatch {event.max_seq} of epoch {event.max_epoch}, the database "
                f"remembers {host.seq_reserved} of {state.epoch}"
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
    """An agent speaks of this attempt. If the store believes that it has yet to be sent, the store was set back: it may
    have run."""
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
            Alarm(
                "store_rolled_back", f"host {host_id} tells of {command_id}, which the database believes was never sent"
            )
        )
        lose(state, execution, "rolled_back")


def record_claims(state: EngineState, host: HostState, entries: Sequence[JournalEntry], given: int) -> None:
    """Remember which reports are to be expected for what is not open. given: the numbers up to which the database, as
    it was loaded, has given
    out; what has one of those and is unknown is proof that a part of the database is lost, so the store is unknown."""
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
    """The database has given out these numbers and knows nothing of what they were for."""
    for command_id, attempt, seq, stage in event.entries[: state.limits.orphans]:
        state.save(SaveOrphan(event.host_id, command_id, attempt, state.now.wall_ms, seq, stage))
    first = event.entries[0]
    text = (
        f"host {event.host_id} holds {len(event.entries)} executions that the database has dispatched and does not "
        f"know any more, the first is {first[0]}: a part of the database is lost"
    )
    state.act(Alarm("orphans", text))


def restored(state: EngineState, event: DatabaseRestored) -> None:
    """Every open execution is given up: none of them may be started again, and none can be called unstarted."""
    for live_task in list(state.tasks.values()):
        if live_task.task.status is TaskStatus.PENDING:
            create_rows(live_task)
        for execution in list(live_task.executions.values()):
            lose(state, execution, "restored")


def _loaded_executions(state: EngineState, host_id: str) -> list[LiveExecution]:
    found = []
    for live_task in state.tasks.values():
        if live_task.loaded:
            if live_task.task.status is TaskStatus.PENDING and host_id in live_task.task.targets:
                create_rows(live_task)
            execution = live_task.executions.get(host_id)
            if execution is not None:
                found.append(execution)
    return found
