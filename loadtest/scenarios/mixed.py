"""Many tasks of different kinds at once, big outputs and a cancel among them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

from loadtest.run import Run, body
from loadtest.verify import Findings

CALLERS = 6
TASK_SECONDS = 240.0
OUTPUT_BUDGET = 256 << 20
"""Bytes of output that all hosts together write in one run of this scenario, for each of the two sizes."""
CUT = 600_000
"""Long enough that the middle is dropped: more is written than an agent keeps."""
CUT_HOSTS = 20
CANCEL_AFTER = 0.3


def mixed(run: Run) -> None:
    kinds = ["echo {host}", "exit 3", "sleep 0.5", "output 4000", "no-such-command {host}", "timeout", "cancel", f"output {_big(run)}", "echo same everywhere"]
    wanted = [*islice(cycle(kinds), max(run.options.mixed_tasks, len(kinds))), f"output {CUT}"]
    begin = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as pool:
        findings = list(pool.map(lambda kind: _one(run, kind), wanted))
    seconds = time.monotonic() - begin
    run.details["mixed"] = {"tasks": len(wanted), "seconds": round(seconds, 3), "executions": len(wanted) * run.fleet.size, "outputs_read": sum(one.outputs for one in findings)}


def _big(run: Run) -> int:
    tasks = max(1, run.options.mixed_tasks // 9)
    return max(10_000, min(400_000, OUTPUT_BUDGET // (run.fleet.size * tasks)))


def _one(run: Run, kind: str) -> Findings:
    within = run.left(TASK_SECONDS)
    with run.target.api() as api:
        targets = run.everybody(api)
        if kind == "cancel":
            task = api.json("POST", "/run", body("sleep 600", targets))
            time.sleep(CANCEL_AFTER)
            api.json("POST", f"/tasks/{task['task_id']}/cancel")
            return run.finish(api, task, run.expected("sleep 600", outcome="canceled"), within)[1]
        if kind == "timeout":
            task = api.json("POST", "/run", body("sleep 600", targets, timeout=0.5))
            return run.finish(api, task, run.expected("sleep 600", outcome="timeout"), within)[1]
        if kind == f"output {CUT}":
            hosts = dict(islice(run.fleet.hosts.items(), CUT_HOSTS))
            task = api.json("POST", "/run", body(kind, list(hosts)))
            return run.finish(api, task, run.expected(kind, hosts), within)[1]
        task = api.json("POST", "/run", body(kind, targets))
        return run.finish(api, task, run.expected(kind), within)[1]
