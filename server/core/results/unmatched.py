"""Results for no open execution: late, repeated or invented ones. What they may cost is bounded per host.

Each costs its bytes, at least SMALLEST. They are paid for at `unsolicited_rate`; up to `unsolicited_burst` a host may
be in paid_until and is
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


def is_flood(state: EngineState, host: HostState | None) -> bool:
    """Whether this host has sent far more than it has credits for: nothing of what it says is looked at any more."""
    if host is None or host.delayed_acks is None or len(host.delayed_acks.acks) < state.limits.unsolicited_waiting:
        return False
    assert host.session is not None, "a session that ends is delayed_acks nothing"
    state.act(Cut(host.host_id, host.session, FLOOD))
    return True


def acknowledge(state: EngineState, host: HostState, event: Result) -> None:
    """At once, or when it is paid for."""
    assert host.session is not None
    now, limits = state.now.mono, state.limits
    cost = SMALLEST + sum(len(one.head) + len(one.tail) for one in (event.stdout, event.stderr) if one is not None)
    host.paid_until = max(host.paid_until, now) + cost / limits.unsolicited_rate
    due = host.paid_until - limits.unsolicited_burst / limits.unsolicited_rate
    if due <= now:
        state.act(Ack(event.host_id, host.session, event.command_id, event.attempt))
        return
    if host.delayed_acks is None:
        host.delayed_acks = DelayedAcks(host)
        state.deadlines.set(host.delayed_acks, due)
    host.delayed_acks.acks.append((due, event.command_id, event.attempt))


def send_due_acks(state: EngineState, delayed_acks: DelayedAcks) -> None:
    """Some are paid for."""
    host = delayed_acks.host
    assert host.session is not None, "a session that ends is delayed_acks nothing"
    while delayed_acks.acks and delayed_acks.acks[0][0] <= state.now.mono:
        _, command_id, attempt = delayed_acks.acks.popleft()
        state.act(Ack(host.host_id, host.session, command_id, attempt))
    if delayed_acks.acks:
        state.deadlines.set(delayed_acks, delayed_acks.acks[0][0])
    else:
        host.delayed_acks = None


def drop_delayed_acks(state: EngineState, host: HostState) -> None:
    """Its session is over, or has been replaced: the agent repeats what was not acknowledged. What it owes stays."""
    if host.delayed_acks is not None:
        state.deadlines.clear(host.delayed_acks)
        host.delayed_acks = None
