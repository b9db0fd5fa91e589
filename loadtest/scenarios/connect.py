"""All hosts connect at the same time."""

from __future__ import annotations

import time

from loadtest.measure.proc import rss_kb
from loadtest.reports.figures import percentile
from loadtest.run import Incomplete, Run

BASE_SECONDS, SECONDS_PER_AGENT = 60.0, 0.02
SETTLE_SECONDS = 3.0


def connect(run: Run) -> None:
    fleet, figures = run.fleet, run.figures
    cpu, begin = run.cpu(), time.monotonic()
    fleet.dial()
    done = run.wait_connected(BASE_SECONDS + SECONDS_PER_AGENT * fleet.size)
    took = (fleet.last_welcome() if done else time.monotonic()) - begin
    figures.connect_ms = [seconds * 1000 for seconds in fleet.took()]
    if not done:
        raise Incomplete(f"{fleet.connected} of {fleet.size} hosts had connected after {took:.0f} s: {_why(run)}")
    figures.connect_seconds = took
    with run.target.api() as api:
        while (seen := api.json("GET", "/statistics")["hosts"]["connected"]) < fleet.size:
            run.left(1.0)
            if time.monotonic() - begin > took + BASE_SECONDS:
                raise Incomplete(f"{fleet.size} hosts are welcomed, but the server counts {seen}")
            time.sleep(0.1)
    # the server writes hosts to the store after the Welcome; that is part of the cost of a connection
    time.sleep(SETTLE_SECONDS)
    figures.connect_cpu_us_per_agent = run.per_agent_us(cpu)
    rss = rss_kb(run.target.pid) if run.target.pid else None
    if rss is not None and run.base_rss_kb is not None:
        figures.server_rss_kb_per_agent = (rss - run.base_rss_kb) / fleet.size
    counts = fleet.counts()
    if counts["dialed"] > fleet.size:
        run.note(f"To connect {fleet.size} hosts took {counts['dialed']} dials: {_why(run)}.")
    run.details["connect"] = {
        "p50_ms": percentile(figures.connect_ms, 0.5),
        "p99_ms": percentile(figures.connect_ms, 0.99),
        "dials": counts["dialed"],
    }


def _why(run: Run) -> str:
    return (
        "; ".join(f"{times} times: {why}" for why, times in run.fleet.reasons().most_common(3))
        or "no connection has ended"
    )
