"""The server ends and is started again while all hosts work.

All hosts must reconnect, no result may be lost, and the API must answer during this time. `restart` kills the server:
hosts find their connections broken at the same time and reconnect with their own backoff. `drain` stops it: the server
tells the hosts when to reconnect.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from loadtest.measure.probe import Probe
from loadtest.measure.proc import listens
from loadtest.reports.figures import percentile
from loadtest.run import Incomplete, Run, body
from loadtest.scenarios.echo import one_round
from loadtest.site.target import START_SECONDS, StartedTarget

WORK = "sleep 3"
BACK_SECONDS, SECONDS_PER_AGENT = 120.0, 0.03
TASK_SECONDS = 240.0


def restart(run: Run) -> None:
    """Kill the server with SIGKILL and start it again; fills in the reconnect figures."""
    target = _own_server(run)
    if target is None:
        return
    took, probe = _restart(run, target, "restart", target.kill)
    run.figures.reconnect_seconds = took
    run.figures.api_during_reconnect_ms = probe.took_ms


def drain(run: Run) -> None:
    """Stop the server with SIGTERM and start it again."""
    target = _own_server(run)
    if target is None:
        return
    took, probe = _restart(run, target, "drain", target.stop)
    run.details["drain"] |= {"reconnect_seconds": round(took, 3), "api_p99_ms": percentile(probe.took_ms, 0.99)}


def _own_server(run: Run) -> StartedTarget | None:
    if isinstance(run.target, StartedTarget):
        return run.target
    run.note("The server was not stopped: this harness only stops servers that it has started.")
    return None


def _restart(run: Run, target: StartedTarget, name: str, end: Callable[[], object]) -> tuple[float, Probe]:
    """Restart the server.

    Returns:
        The seconds from the moment at which the new process listens for agents until all hosts have received Welcome,
        and the times of the API during this.

    Raises:
        Incomplete: Not all hosts reconnected in time.
    """
    fleet = run.fleet
    with target.api() as api:
        task = api.json("POST", "/run", body(WORK, run.all_targets(api)))
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
