"""One command on one host during work on all hosts: running commands, creating a task, canceling one, reading results.

The hosts of the single commands also take part in all of those tasks. If there are enough hosts they run in a separate
process, so that the measurement shows the server and not the queue of simulated hosts in the process of the others.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from loadtest.api import Api, Refused, TooLate, Unreachable
from loadtest.options import Options
from loadtest.reports.figures import percentile, rounded
from loadtest.run import Run, body
from loadtest.scenarios.latency import samples
from loadtest.verify import Expected

APART, FEWEST = 50, 500
"""Number of hosts in a separate process, and the total number of hosts from which on it is used."""
PAUSE = 0.5
WORKING = 0.3
"""Seconds between two loads, and seconds for which hosts work before they are canceled."""
LOADS_AT_LEAST = 3
"""Minimum number of loads during which samples are taken."""
TASK_SECONDS = 120.0
ECHO, SLEEP, THREE = "echo {host} is busy", "sleep 600", "among 3 1"
Load = Callable[[Run, Api, str], "tuple[dict[str, Any], Expected] | None"]
"""Called with run, api and the id of an ended task; returns the task it ran, which is checked after the measurement."""


def apart_of(options: Options) -> int:
    """Return the number of hosts in a separate process."""
    return APART if "fairness" in options.scenarios and options.agents >= FEWEST else 0


def fairness(run: Run) -> None:
    if not run.options.fair_samples:
        return
    rng = random.Random(run.options.seed)
    hosts = run.fleet.ids[-APART:] if apart_of(run.options) else run.fleet.ids
    figures: dict[str, Any] = {}
    with run.target.api() as api:
        done = api.wait_final(api.json("POST", "/run", body(THREE, run.all_targets(api))), run.left(TASK_SECONDS))
        run.check(api, done, run.expected(THREE))
        _note(figures, "idle", samples(run, api, rng, run.options.fair_samples, hosts))
        for name, load in LOADS.items():
            took: list[float] = []
            with _BackgroundLoad(run, load, done["task_id"]) as loaded:
                while len(took) < run.options.fair_samples or (
                    loaded.is_running and len(loaded.seconds) < LOADS_AT_LEAST
                ):
                    took += samples(run, api, rng, 1, hosts)
            _note(figures, name, took)
            figures[f"{name}_load_seconds"] = rounded(percentile(loaded.seconds, 0.5))
            for task, expected in loaded.ended:
                run.check(api, task, expected)
    run.details["fairness"] = figures


def _note(figures: dict[str, Any], name: str, took: list[float]) -> None:
    figures[f"{name}_p50_ms"], figures[f"{name}_p99_ms"] = (
        rounded(percentile(took, 0.5), 1),
        rounded(percentile(took, 0.99), 1),
    )


class _BackgroundLoad:
    """Repeats a load in a thread.

    Attributes:
        seconds: Duration of each load.
        ended: Tasks to check.
    """

    def __init__(self, run: Run, load: Load, task_id: str) -> None:
        self._run, self._load, self._task_id = run, load, task_id
        self.seconds: list[float] = []
        self.ended: list[tuple[dict[str, Any], Expected]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._repeat_load, daemon=True)

    def __enter__(self) -> _BackgroundLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(TASK_SECONDS)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def _repeat_load(self) -> None:
        try:
            with self._run.target.api() as api:
                while not self._stop.wait(PAUSE):
                    begin = time.monotonic()
                    ended = self._load(self._run, api, self._task_id)
                    self.seconds.append(time.monotonic() - begin)
                    if ended is not None:
                        self.ended.append(ended)
        except (Refused, Unreachable, TooLate) as error:
            self._run.unfinished.append(f"fairness: the load during the samples ended early: {error}")


def _running(run: Run, api: Api, task_id: str) -> tuple[dict[str, Any], Expected]:
    task = api.json("POST", "/run", body(ECHO, run.all_targets(api)))
    return api.wait_final(task, TASK_SECONDS), run.expected(ECHO)


def _created(run: Run, api: Api, task_id: str) -> None:
    """Create and delete a task. Its hosts are named one by one, which is more to read than a selector."""
    task = api.json("POST", "/tasks", body(ECHO, list(run.fleet.ids)))
    api.raw("DELETE", f"/api/v1/tasks/{task['task_id']}")


def _canceled(run: Run, api: Api, task_id: str) -> tuple[dict[str, Any], Expected]:
    task = api.json("POST", "/run", body(SLEEP, run.all_targets(api)))
    time.sleep(WORKING)
    api.json("POST", f"/tasks/{task['task_id']}/cancel")
    return api.wait_final(task, TASK_SECONDS), run.expected(SLEEP, outcome="canceled")


def _groups(run: Run, api: Api, task_id: str) -> None:
    for _ in range(10):
        api.json("GET", f"/tasks/{task_id}/groups")


def _search(run: Run, api: Api, task_id: str) -> None:
    for _ in range(10):
        api.json("GET", f"/tasks/{task_id}/search?text=a&limit=100")


LOADS: dict[str, Load] = {
    "running": _running,
    "created": _created,
    "canceled": _canceled,
    "groups": _groups,
    "search": _search,
}
"""Loads by name."""
