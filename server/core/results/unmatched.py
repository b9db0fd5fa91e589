"""Results for no open execution: late, repeated or invented ones. What they may cost is bounded per host.

Each costs its bytes, at least SMALLEST. They are paid for at `unsolicited_rate`; up to `unsolicited_burst` a host may
be in debt and is
acknowledged at once, beyond that later. An agent has credits for few results that are not acknowledged, so it is held
to the rate, and an honest
one that repeats many results only becomes slower. A host that sends on without credits is cut off.
"""

from __future__ import annotations

from server.core.effects import Ack, Cut
from server.core.events import Result
from server.core.state import EngineState, HostState
from server.core.timing.timers import DelayedAcks

SMALLEST = 4_096
"""Bytes that a result without output costs."""
FLOOD = "flood_of_reports"


def is_flood(world: EngineState, peer: HostState | None) -> bool:
    """Whether this host has sent far more than it has credits for: nothing of what it says is looked at any more."""
    if peer is None or peer.owed is None or len(peer.owed.acks) < world.limits.unsolicited_waiting:
        return False
    assert peer.session is not None, "a session that ends is owed nothing"
    world.act(Cut(peer.host_id, peer.session, FLOOD))
    return True


def acknowledge(world: EngineState, peer: HostState, event: Result) -> None:
    """At once, or when it is paid for."""
    assert peer.session is not None
    now, limits = world.now.mono, world.limits
    cost = SMALLEST + sum(len(one.head) + len(one.tail) for one in (event.stdout, event.stderr) if one is not None)
    peer.debt = max(peer.debt, now) + cost / limits.unsolicited_rate
    due = peer.debt - limits.unsolicited_burst / limits.unsolicited_rate
    if due <= now:
        world.act(Ack(event.host_id, peer.session, event.command_id, event.attempt))
        return
    if peer.owed is None:
        peer.owed = DelayedAcks(peer)
        world.deadlines.set(peer.owed, due)
    peer.owed.acks.append((due, event.command_id, event.attempt))


def due(world: EngineState, owed: DelayedAcks) -> None:
    """Some are paid for."""
    peer = owed.peer
    assert peer.session is not None, "a session that ends is owed nothing"
    while owed.acks and owed.acks[0][0] <= world.now.mono:
        _, command_id, attempt = owed.acks.popleft()
        world.act(Ack(peer.host_id, peer.session, command_id, attempt))
    if owed.acks:
        world.deadlines.set(owed, owed.acks[0][0])
    else:
        peer.owed = None


def forget(world: EngineState, peer: HostState) -> None:
    """Its session is over, or has been replaced: the agent repeats what was not acknowledged. What it owes stays."""
    if peer.owed is not None:
        world.deadlines.clear(peer.owed)
        peer.owed = None
