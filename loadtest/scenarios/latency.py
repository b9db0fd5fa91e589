"""One command on one host, from the request to the final task: first while all hosts are idle, then while all hosts
work.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from loadtest.api import Api, Refused, TooLate, Unreachable
from loadtest.reports.figures import percentile
from loadtest.run import Run, body

ONE_SECONDS = 120.0
"""Seconds to wait for a result. Late is not lost: an overloaded server must still deliver every result."""
LOAD, LOAD_PAUSE = "echo {host} is busy", 0.5


def latency(run: Run) -> None:
    rng = random.Random(run.options.seed)
    with run.target.api() as api:
        run.figures.single_host_ms = samples(run, api, rng, run.options.samples)
        stop = threading.Event()
        given: list[dict[str, Any]] = []
        load = threading.Thread(target=_load, args=(run, stop, given), daemon=True)
        load.start()
        try:
            run.figures.loaded_host_ms = samples(run, api, rng, run.options.samples)
        finally:
            stop.set()
            load.join(ONE_SECONDS)
        for task in given:
            run.finish(api, task, run.expected(LOAD), ONE_SECONDS)
    loaded = run.figures.loaded_host_ms
    run.details["single_host_latency_under_load_ms"] = {"p50": percentile(loaded, 0.5), "p99": percentile(loaded, 0.99)}


def samples(run: Run, api: Api, rng: random.Random, number: int, among: list[str] | None = None) -> list[float]:
    """Run commands one after the other, each on a random host; return the times in milliseconds.

    Args:
        among: The hosts; by default all.
    """
    took = []
    for place in range(number):
        host_id = rng.choice(among or run.fleet.ids)
        command, begin = f"echo {{host}} sample {place}", time.monotonic()
        task = api.json("POST", "/run", body(command, [host_id]))
        try:
            task = api.wait_final(task, run.left(ONE_SECONDS))
            took.append((time.monotonic() - begin) * 1000)
        except TooLate as late:
            run.unfinished.append(str(late))
            task = late.task
        run.check(api, task, run.expected(command, {host_id: run.fleet.hosts[host_id]}))
    return took


def _load(run: Run, stop: threading.Event, given: list[dict[str, Any]]) -> None:
    """Keep all hosts busy with one task after the other, and append the tasks to `given`."""
    try:
        with run.target.api() as api:
            while not stop.wait(LOAD_PAUSE):
                given.append(api.json("POST", "/run", body(LOAD, run.all_targets(api))))
                api.wait_final(given[-1], ONE_SECONDS)
    except (Refused, Unreachable, TooLate) as error:
        run.note(f"The load during the latency samples ended early: {error}")
