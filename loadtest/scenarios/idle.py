"""All hosts are idle: measures the cost of heartbeats."""

from __future__ import annotations

import time

from loadtest.run import Run


def idle(run: Run) -> None:
    cpu, begin = run.cpu(), time.monotonic()
    until = begin + run.left(run.options.idle_seconds)
    while time.monotonic() < until:
        run.target.check()
        time.sleep(min(0.2, max(0.0, until - time.monotonic())))
    after, seconds = run.cpu(), time.monotonic() - begin
    if after is not None and cpu is not None:
        run.figures.idle_cpu_percent = (after - cpu) / seconds * 100
