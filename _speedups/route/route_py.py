"""Takes a batch of events to what handles them, agents' reports together with the execution that each is about.

This file is run as it is, and compiled a second time as `_speedups.route.route_c` with the types of route_c.pxd: one
source, so the
two cannot drift apart. Import `route` from `_speedups.route`, which picks.
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
    """Call for each event in order `reports[its type](world, event, execution)`, or else `others[its type](world,
    event)`.

    execution: the open one that the report names by host_id, command_id and attempt, as it is at that moment; None if
    there
    is none. peers: by host_id; each has `open`, executions by command_id; each of those has `row.attempt`.
    Raises KeyError for an event of a type in neither, and what a handler raises; the events after it are not handled.
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
