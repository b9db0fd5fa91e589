"""The server ends and is started again while all hosts work: all come back, no result is lost, and the API answers
meanwhile.

`restart`: it is killed, so hosts find their connections broken all at once and come back by their own backoff. `drain`:
it is asked to stop,
and tells them when to come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from loadtest.measure.probe import Probe
from loadtest.measure.proc import listens
from loadtest.reports.figures import percentile
from loadtest.run import Incomplete, Run, body
from loadtest.scenarios.echo import one_round
from loadtest.site.target import START_SECONDS, Started

WORK = "sleep 3"
BACK_SECONDS, SECONDS_PER_AGENT = 120.0, 0.03
TASK_SECONDS = 240.0


def restart(run: Run) -> None:
    """SIGKILL. Fills in the figures of the reconnect."""
    target = _own(run)
    if target is None:
        return
    took, probe = _again(run, target, "restart", target.kill)
    run.figures.reconnect_seconds = took
    run.figures.api_during_reconnect_ms = probe.took_ms


def drain(run: Run) -> None:
    """SIGTERM."""
    target = _own(run)
    if target is None:
        return
    took, probe = _again(run, target, "drain", target.stop)
    run.details["drain"] |= {"reconnect_seconds": round(took, 3), "api_p99_ms": percentile(probe.took_ms, 0.99)}


def _own(run: Run) -> Started | None:
    if isinstance(run.target, Started):
        return run.target
    run.note("The server was not stopped: this harness only stops servers that it has started.")
    return None


def _again(run: Run, target: Started, name: str, end: Callable[[], object]) -> tuple[float, Probe]:
    """(seconds from the moment at which the new process listens for agents until all hosts are welcomed again, the
    API's times
    meanwhile). Raises Incomplete."""
    fleet = run.fleet
    with target.api() as api:
        task = api.json("POST", "/run", body(WORK, run.everybody(api)))
        expected = run.expected(WORK)
        while api.json("GET", f"/tasks/{task['task_id']}")["counts"]["running"] < fleet.size // 2:
            run.left(1.0)
            time.sleep(0.05)
    before, begin = fleet.counts(), time.monotonic()
    end()
    launched = time.monotonic()
    target.launch()
    while not listens(target.agent_port):
        target.check()
        if time.monotonic() > launched + START_SECONDS:
            raise Incomplete(f"the server did not listen for agents {START_SECONDS:g} s after its restart")
        time.sleep(0.005)
    opened = time.monotonic()
    with target.api_when_there(launched + START_SECONDS) as api:
        while not api.ready():
            target.check()
            if time.monotonic() > launched + START_SECONDS:
                raise Incomplete(f"the server was not ready {START_SECONDS:g} s after its restart")
            time.sleep(0.01)
        ready = time.monotonic() - launched
        probe = Probe(target.api)
        probe.start()
        try:
            back = fleet.wait(
                lambda: fleet.counts()["welcomed"] >= before["welcomed"] + fleet.size and fleet.connected >= fleet.size,
                run.left(BACK_SECONDS + SECONDS_PER_AGENT * fleet.size),
                target.check,
            )
            took = (fleet.last_welcome() if back else time.monotonic()) - opened
        finally:
            probe.close()
        run.details[name] = {
            "ended_seconds": round(launched - begin, 3),
            "listening_seconds": round(opened - launched, 3),
            "ready_seconds": round(ready, 3),
            "dials": fleet.counts()["dialed"] - before["dialed"],
            "server_cpu_us_per_agent_since_start": run.per_agent_us(0.0),
            "api_requests": len(probe.took_ms),
            "api_failures": probe.failures,
        }
        if probe.failures:
            run.note(
                f"While hosts came back {len(probe.failures)} of {len(probe.took_ms) + len(probe.failures)} "
                f"API requests failed, the first with: {probe.failures[0]}"
            )
        if not back:
            raise Incomplete(f"{fleet.connected} of {fleet.size} hosts were back after {took:.0f} s")
        run.finish(api, task, expected, TASK_SECONDS)
        one_round(run, api, f"echo after {name}")
        return took, probe
