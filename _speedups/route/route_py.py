"""Dispatches a batch of events to their handlers, agents' reports together with the execution that each is about.

This file runs as it is, and is compiled a second time as `_speedups.route.route_c` with the types of route_c.pxd. Both
come from one source, so they cannot differ. Import `route` from `_speedups.route`, which picks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def route(
    world: Any,
    peers: dict[str, Any],
    events: Sequence[Any],
    reports: dict[type, Callable[[Any, Any, Any], None]],
    others: dict[type, Callable[[Any, Any], None]],
) -> None:
    """Handle events in order, reports of agents together with the execution that each is about.

    Args:
        world: the engine's state, first argument of every handler.
        peers: by host_id; each has `open`, executions by command_id, and each of those has `row.attempt`.
        events: the batch.
        reports: type of event → handler(world, event, execution). The execution is the open one that the report names
            by host_id, command_id and attempt, as it is at that moment, or None.
        others: type of event → handler(world, event).

    Raises:
        KeyError: an event's type is in neither table. This, and what a handler raises, leaves later events unhandled.
    """
    for event in events:
        report = reports.get(type(event))
        if report is None:
            others[type(event)](world, event)
            continue
        peer = peers.get(event.host_id)
        execution = None
        if peer is not None:
            executions = peer.open
            execution = executions.get(event.command_id)
            if execution is not None and execution.row.attempt != event.attempt:
                execution = None
        report(world, event, execution)
