"""Results for no open execution: late, repeated or invented ones. Their cost is limited per host.

Each result costs its bytes, at least SMALLEST. A host pays for them at `unsolicited_rate`. Up to `unsolicited_burst` it
may be in debt and gets its acknowledgements at once; beyond that they are delayed. An agent has credits for few
unacknowledged results, so it is held to the rate, and an honest agent that repeats many results only becomes slower.
The server ends the session of a host that sends without credits.
"""

from __future__ import annotations

from server.core.effects import Ack, Cut
from server.core.events import Result
from server.core.live import HostState
from server.core.state import EngineState
from server.core.timing.timers import DelayedAcks

SMALLEST = 4_096
"""Bytes that a result without output costs."""
FLOOD = "flood_of_reports"
"""The reason with which the server ends the session of such a host, see rpc/endings.py."""


def is_flood(state: EngineState, host: HostState | None) -> bool:
    """Return whether this host has sent far more than it has credits for; then end its session."""
    if host is None or host.delayed_acks is None or len(host.delayed_acks.acks) < state.limits.unsolicited_waiting:
        return False
    assert host.session is not None, "a session that ends is delayed_acks nothing"
    state.act(Cut(host.host_id, host.session, FLOOD))
    return True


def acknowledge(state: EngineState, host: HostState, event: Result) -> None:
    """Acknowledge an unsolicited result, at once or when the host has paid for it."""
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
    """Send the delayed acknowledgements for which the host has paid."""
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
    """Drop delayed acknowledgements, because the session is over.

    The agent repeats the results. The host's debt remains.
    """
    if host.delayed_acks is not None:
        state.deadlines.clear(host.delayed_acks)
        host.delayed_acks = None
