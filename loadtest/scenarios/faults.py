"""Some hosts read slowly, some lose their connection at random times, some are silent.

The other hosts must not be affected, and in the end every result must exist once.
"""

from __future__ import annotations

import random
import time

from loadtest.api import Api
from loadtest.reports.figures import percentile
from loadtest.run import Incomplete, Run, body
from loadtest.scenarios.latency import samples
from loadtest.verify import Expected

COMMANDS = ("echo {host} while others suffer", "sleep 1", "output 3000")
HEAL_SECONDS = 180.0
AWAY = frozenset({"offline"})
"""The server does not wait for a host that is offline at its dispatch; that host must never have started the command.
"""
LATENCY_SAMPLES = 20


def faults(run: Run) -> None:
    rng = random.Random(run.options.seed)
    sick = (
        rng.sample(range(run.fleet.size), max(3, round(run.fleet.size * run.options.fault_share)))
        if run.fleet.size >= 6
        else []
    )
    if not sick:
        raise Incomplete("faults need at least 6 hosts")
    for place, kind in enumerate(("slow", "dying", "silent")):
        run.fleet.fault(kind, sick[place::3])
    begin = time.monotonic()
    healthy = [host_id for index, host_id in enumerate(run.fleet.ids) if index not in set(sick)]
    try:
        with run.target.api() as api:
            tasks = [_start(run, api, command) for command in COMMANDS]
            beside = samples(run, api, rng, LATENCY_SAMPLES, healthy)
            while time.monotonic() - begin < run.options.fault_seconds:
                run.target.check()
                tasks.append(_start(run, api, COMMANDS[0]))
                time.sleep(max(0.2, run.options.fault_seconds / 5))
    finally:
        run.fleet.fault("", sick)
    with run.target.api() as api:
        for task, expected in tasks:
            run.finish(api, task, expected, HEAL_SECONDS)
    if not run.wait_connected(HEAL_SECONDS):
        raise Incomplete(
            f"{run.fleet.connected} of {run.fleet.size} hosts are connected {HEAL_SECONDS:g} s after the "
            f"faults were mended"
        )
    counts = run.fleet.counts()
    run.details["faults"] = {
        "hosts": len(sick),
        "tasks": len(tasks),
        "cuts": counts["cut"],
        "dispatches_met_before": counts["dispatches_met_before"],
        "rightly_refused": run.findings.refused,
        "healthy_host_p50_ms": percentile(beside, 0.5),
        "healthy_host_p99_ms": percentile(beside, 0.99),
    }


def _start(run: Run, api: Api, command: str) -> tuple[dict[str, object], Expected]:
    return api.json("POST", "/run", body(command, run.all_targets(api))), run.expected(command, may_refuse=AWAY)
