"""Time to pass one report and its execution to a handler, by module and batch size, compared with one call per report.

`python -m tests.tools.bench.parts.bench_route`
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from server.core.events import Accepted
from server.core.live import LiveExecution
from tests.tools.bench.parts.bench_engine import Run, answers

SECONDS = 0.5
BATCHES = (1, 100, 10_000)


def one_by_one(
    world: Any, peers: dict[str, Any], events: list[Any], reports: dict[type, Any], others: dict[type, Any]
) -> None:
    """The loop that the batch call replaces."""
    for event in events:
        reports[type(event)](world, event, _open(peers, event))


def _open(peers: dict[str, Any], event: Any) -> LiveExecution | None:
    peer = peers.get(event.host_id)
    execution = peer.open.get(event.command_id) if peer is not None else None
    return execution if execution is not None and execution.row.attempt == event.attempt else None


def nanoseconds_per_report(route: Callable[..., None], peers: dict[str, Any], events: list[Any], batch: int) -> float:
    """Return the CPU time per report: the minimum of several passes."""
    batches = [events[index : index + batch] for index in range(0, len(events), batch)]
    missed = []

    def handle(world: Any, event: Any, execution: LiveExecution | None) -> None:
        if execution is None:
            missed.append(event)

    best, end = float("inf"), time.perf_counter() + SECONDS
    while True:
        begin = time.process_time()
        for part in batches:
            route(None, peers, part, {Accepted: handle}, {})
        best = min(best, time.process_time() - begin)
        if missed:
            raise RuntimeError("a report was not routed to its execution")
        if time.perf_counter() > end:
            return best / len(events) * 1e9


def lines() -> Iterator[str]:
    run = Run()
    dispatches = run.start()
    peers, reports = run.engine.state.hosts, answers(dispatches)[: len(dispatches)]
    ways: list[tuple[str, Callable[..., list[Any]]]] = [("one by one", one_by_one)]
    for name in ("_speedups.route.route_py", "_speedups.route.route_c"):
        try:
            ways.append((name, importlib.import_module(name).route))
        except ModuleNotFoundError:
            yield f"route {name:20} not built: run 'make build'"
    for name, way in ways:
        for batch in BATCHES:
            yield (
                f"route {name:20} batches of {batch:6,}  {nanoseconds_per_report(way, peers, reports, batch):8.0f} "
                f"ns per report"
            )


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
