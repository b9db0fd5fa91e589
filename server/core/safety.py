"""When the fault may be our own: many hosts gone at once, or a database that remembers less than its agents do."""

from __future__ import annotations

from server.core.admission import lose
from server.core.effects import Alarm, SaveMeta
from server.core.events import HostConnected, Restored
from server.core.states import ExecutionStatus, TaskStatus
from server.core.tasks import make_rows
from server.core.world import Execution, Peer, World

EPOCH_SEEN = "epoch_seen"
"""In the store's facts: an epoch that an agent has met; the next start takes a higher one."""


def gone(world: World, host_id: str) -> None:
    """One more host is away. Too many of them within the window are taken for a fault of ours (Kubernetes does so with zones)."""
    limits, now = world.limits, world.now.mono
    world.left.pop(host_id, None)
    world.left[host_id] = now
    while (first := next(iter(world.left))) and now - world.left[first] > limits.mass_window:
        del world.left[first]
    away = len(world.left)
    if away >= limits.mass_hosts and away > limits.mass_share * (world.connected + away) and now >= world.calm_at:
        world.calm_at = now + limits.mass_pause
        text = f"{away} of {world.connected + away} hosts went away within {limits.mass_window:g} s; none is called lost for {limits.mass_pause:g} s"
        world.act(Alarm("mass_silence", text))


def is_behind(world: World, peer: Peer, event: HostConnected) -> bool:
    """The agent has met higher numbers than the store remembers giving: the store was set back."""
    return peer.loaded and (event.max_seq > peer.seq_reserved or 0 < world.epoch < event.max_epoch)


def quarantine(world: World, peer: Peer, event: HostConnected) -> None:
    """Of what the store knew before this start, only what this very journal still holds is still true of this host."""
    world.act(Alarm("store_rolled_back", f"host {peer.host_id} has met dispatch {event.max_seq} of epoch {event.max_epoch}, the database remembers {peer.seq_reserved} of {world.epoch}"))
    if event.max_epoch > world.epoch:
        world.save(SaveMeta(EPOCH_SEEN, str(event.max_epoch)))
    held = {(entry.command_id, entry.attempt) for entry in event.entries}
    for execution in _inherited(world, peer.host_id):
        row = execution.row
        if row.command_id not in peer.open or row.journal_id != event.journal_id or (row.command_id, row.attempt) not in held:
            lose(world, execution, "rolled_back")


def was_sent(world: World, host_id: str, command_id: str, attempt: int) -> None:
    """An agent speaks of this attempt. If the store believes that it has yet to be sent, the store was set back: it may have run."""
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
        world.act(Alarm("store_rolled_back", f"host {host_id} tells of {command_id}, which the database believes was never sent"))
        lose(world, execution, "rolled_back")


def restored(world: World, event: Restored) -> None:
    """Every open execution is given up: none of them may be started again, and none can be called unstarted."""
    for live in list(world.tasks.values()):
        if live.task.status is TaskStatus.PENDING:
            make_rows(live)
        for execution in list(live.executions.values()):
            lose(world, execution, "restored")


def _inherited(world: World, host_id: str) -> list[Execution]:
    found = []
    for live in world.tasks.values():
        if live.loaded:
            if live.task.status is TaskStatus.PENDING and host_id in live.task.targets:
                make_rows(live)
            execution = live.executions.get(host_id)
            if execution is not None:
                found.append(execution)
    return found
