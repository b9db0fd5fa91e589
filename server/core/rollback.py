"""When the fault may be our own: many hosts gone at once, or a database that remembers less than its agents do."""

from __future__ import annotations

from collections.abc import Sequence

from server.core.admission import lose
from server.core.effects import Alarm, Inquire, SaveOrphan, SaveSeq
from server.core.events import Entry, HostConnected, Restored, Unaccounted
from server.core.inputs.bounds import SEQ_LEAP, SEQ_MAX
from server.core.state import EngineState, Execution, HostState
from server.core.states import ExecutionStatus, TaskStatus
from server.core.tasks import make_rows

EPOCH_SEEN = "epoch_seen"
"""In the facts of databases of earlier releases: an epoch that an agent had met. Taken into account by one start, and
only within a small leap
(server/store/lease.py); no longer written, because what one host says is not believed about the installation as a
whole."""


def gone(world: EngineState, host_id: str) -> None:
    """One more host is away. Too many of them within the window are taken for a fault of ours (Kubernetes does so with
    zones)."""
    limits, now = world.limits, world.now.mono
    world.left.pop(host_id, None)
    world.left[host_id] = now
    while (first := next(iter(world.left))) and now - world.left[first] > limits.mass_window:
        del world.left[first]
    away = len(world.left)
    if (
        away >= limits.mass_hosts
        and away > limits.mass_share * (world.connected + away)
        and now >= world.loss_suspended_until
    ):
        world.loss_suspended_until = now + limits.mass_pause
        text = (
            f"{away} of {world.connected + away} hosts went away within {limits.mass_window:g} s; none is called "
            f"lost for {limits.mass_pause:g} s"
        )
        world.act(Alarm("mass_silence", text))


def believed_seq(peer: HostState, event: HostConnected) -> int:
    """The highest dispatch number that this host can honestly have met: what was reserved for it, and a leap for a
    database set back."""
    return min(event.max_seq, peer.seq_reserved + SEQ_LEAP, SEQ_MAX)


def is_behind(world: EngineState, peer: HostState, event: HostConnected) -> bool:
    """The agent has met higher numbers than the store remembers giving: the store was set back. An epoch that this host
    has claimed at an
    earlier start proves nothing new: this server's epochs may still be below it."""
    later = world.epoch > 0 and event.max_epoch > max(world.epoch, peer.epoch_seen)
    return peer.loaded and (event.max_seq > peer.seq_reserved or later)


def quarantine(world: EngineState, peer: HostState, event: HostConnected) -> None:
    """Of what the store knew before this start, only what this very journal still holds is still true of this host. Its
    numbers are stored, so
    that the next start does not take them for another loss; they count for this host alone."""
    world.act(
        Alarm(
            "store_rolled_back",
            (
                f"host {peer.host_id} has met dispatch {event.max_seq} of epoch {event.max_epoch}, the database "
                f"remembers {peer.seq_reserved} of {world.epoch}"
            ),
        )
    )
    peer.epoch_seen = max(peer.epoch_seen, event.max_epoch)
    peer.seq_reserved = max(peer.seq_reserved, believed_seq(peer, event))
    world.save(SaveSeq(peer.host_id, peer.seq_reserved, peer.epoch_seen))
    held = {(entry.command_id, entry.attempt) for entry in event.entries}
    for execution in _inherited(world, peer.host_id):
        row = execution.row
        if (
            row.command_id not in peer.open
            or row.journal_id != event.journal_id
            or (row.command_id, row.attempt) not in held
        ):
            lose(world, execution, "rolled_back")


def was_sent(world: EngineState, host_id: str, command_id: str, attempt: int) -> None:
    """An agent speaks of this attempt. If the store believes that it has yet to be sent, the store was set back: it may
    have run."""
    live = world.by_command.get(command_id)
    if live is None:
        return
    if live.task.status is TaskStatus.PENDING and host_id in live.task.targets:
        make_rows(live)
    execution = live.executions.get(host_id)
    if execution is None:
        return
    row = execution.row
    if attempt > row.attempt or (attempt == row.attempt and row.status is ExecutionStatus.PENDING):
        world.act(
            Alarm(
                "store_rolled_back", f"host {host_id} tells of {command_id}, which the database believes was never sent"
            )
        )
        lose(world, execution, "rolled_back")


def claim(world: EngineState, peer: HostState, entries: Sequence[Entry], given: int) -> None:
    """Remember which reports are to be expected for what is not open. given: the numbers up to which the database, as
    it was loaded, has given
    out; what has one of those and is unknown is proof that a part of the database is lost, so the store is asked."""
    known = [
        entry
        for entry in entries
        if entry.command_id not in peer.open and 0 < entry.seq <= max(peer.seq_reserved, peer.seq)
    ]
    peer.claims = {(entry.command_id, entry.attempt): None for entry in known[: world.limits.claims]}
    asked = [
        (entry.command_id, entry.attempt, entry.seq, int(entry.stage))
        for entry in known[: world.limits.claims]
        if entry.seq <= given
    ]
    if asked:
        world.act(Inquire(peer.host_id, asked))


def unaccounted(world: EngineState, event: Unaccounted) -> None:
    """The database has given out these numbers and knows nothing of what they were for."""
    for command_id, attempt, seq, stage in event.entries[: world.limits.orphans]:
        world.save(SaveOrphan(event.host_id, command_id, attempt, world.now.wall_ms, seq, stage))
    first = event.entries[0]
    text = (
        f"host {event.host_id} holds {len(event.entries)} executions that the database has dispatched and does not "
        f"know any more, the first is {first[0]}: a part of the database is lost"
    )
    world.act(Alarm("orphans", text))


def restored(world: EngineState, event: Restored) -> None:
    """Every open execution is given up: none of them may be started again, and none can be called unstarted."""
    for live in list(world.tasks.values()):
        if live.task.status is TaskStatus.PENDING:
            make_rows(live)
        for execution in list(live.executions.values()):
            lose(world, execution, "restored")


def _inherited(world: EngineState, host_id: str) -> list[Execution]:
    found = []
    for live in world.tasks.values():
        if live.loaded:
            if live.task.status is TaskStatus.PENDING and host_id in live.task.targets:
                make_rows(live)
            execution = live.executions.get(host_id)
            if execution is not None:
                found.append(execution)
    return found
