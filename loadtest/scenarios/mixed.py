"""Many tasks of different kinds at the same time, with large outputs and a cancel among them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

from loadtest.api import TooLate
from loadtest.run import Run, body
from loadtest.verify import Expected

CALLERS = 6
TASK_SECONDS = 240.0
OUTPUT_BUDGET = 256 << 20
"""Bytes of output that all hosts together write in one run of this scenario, for each of the two sizes."""
CUT = 600_000
"""More bytes than an agent keeps, so that the middle is dropped."""
CUT_HOSTS = 20
CANCEL_AFTER = 0.3
SLEEP = "sleep 600"


def mixed(run: Run) -> None:
    kinds = [
        "echo {host}",
        "exit 3",
        "sleep 0.5",
        "output 4000",
        "no-such-command {host}",
        "timeout",
        "cancel",
        f"output {_big(run)}",
        "echo same everywhere",
    ]
    wanted = [*islice(cycle(kinds), max(run.options.mixed_tasks, len(kinds))), f"output {CUT}"]
    cpu, begin = run.cpu(), time.monotonic()
    with ThreadPoolExecutor(CALLERS) as pool:
        ended = list(pool.map(lambda kind: _one(run, kind), wanted))
    seconds, executions = time.monotonic() - begin, sum(len(expected.hosts) for _, expected in ended)
    after, read = run.cpu(), 0
    with run.target.api() as api:
        for task, expected in ended:
            read += run.check(api, task, expected).outputs
    run.details["mixed"] = {
        "tasks": len(wanted),
        "seconds": round(seconds, 3),
        "executions": executions,
        "server_cpu_us_per_execution": None
        if cpu is None or after is None
        else round((after - cpu) * 1e6 / executions, 1),
        "outputs_read": read,
        "check_seconds": round(time.monotonic() - begin - seconds, 3),
    }


def _big(run: Run) -> int:
    tasks = max(1, run.options.mixed_tasks // 9)
    return max(10_000, min(400_000, OUTPUT_BUDGET // (run.fleet.size * tasks)))


def _one(run: Run, kind: str) -> tuple[dict[str, Any], Expected]:
    """Run one task; return it once it has ended, or its last state if it was too late, and the expected results."""
    with run.target.api() as api:
        targets = run.all_targets(api)
        expected = run.expected(kind)
        if kind == "cancel":
            task, expected = api.json("POST", "/run", body(SLEEP, targets)), run.expected(SLEEP, outcome="canceled")
            time.sleep(CANCEL_AFTER)
            api.json("POST", f"/tasks/{task['task_id']}/cancel")
        elif kind == "timeout":
            task, expected = (
                api.json("POST", "/run", body(SLEEP, targets, timeout=0.5)),
                run.expected(SLEEP, outcome="timeout"),
            )
        elif kind == f"output {CUT}":
            expected = run.expected(kind, dict(islice(run.fleet.hosts.items(), CUT_HOSTS)))
            task = api.json("POST", "/run", body(kind, list(expected.hosts)))
        else:
            task = api.json("POST", "/run", body(kind, targets))
        try:
            return api.wait_final(task, run.left(TASK_SECONDS)), expected
        except TooLate as late:
            run.unfinished.append(str(late))
            return late.task, expected
