"""Detects mass disconnects and then suspends "lost" decisions."""

from __future__ import annotations

from server.core.effects import Alarm
from server.core.state import EngineState


def record_disconnect(state: EngineState, host_id: str) -> None:
    """Record that a host has disconnected. Too many within the window count as a fault of the server's side.

    Kubernetes treats the nodes of a zone in the same way.
    """
    limits, now, recent = state.limits, state.now.mono, state.recent_disconnects
    recent.pop(host_id, None)
    recent[host_id] = now
    while (first := next(iter(recent))) and now - recent[first] > limits.mass_window:
        del recent[first]
    count, hosts = len(recent), state.connected + len(recent)
    if count >= limits.mass_hosts and count > limits.mass_share * hosts and now >= state.loss_suspended_until:
        state.loss_suspended_until = now + limits.mass_pause
        text = (
            f"{count} of {hosts} hosts disconnected within {limits.mass_window:g} s; no execution becomes lost "
            f"for {limits.mass_pause:g} s"
        )
        state.act(Alarm("mass_silence", text))
