"""Measures how long the server's loop is blocked: `python -m tests.tools.bench.holds.fair --agents 10000 [--store
mysql]`.

It runs during each load of the scenario `fairness` and while idle. It prints the longest block, the 99th percentile,
and where long blocks happened.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from loadtest import files
from loadtest.measure.watch import ResourceSampler
from loadtest.options import Options
from loadtest.reports.progress import Console
from loadtest.run import Run
from loadtest.scenarios.fairness import APART, LOADS
from loadtest.scenarios.fairness import THREE as ANSWERS
from loadtest.site.database import with_database
from loadtest.site.fleet import Fleet
from loadtest.site.target import StartedTarget

TARGET = 0.005
"""Seconds for which no step should block the loop."""
ROWS = 12


class Instrumented(StartedTarget):
    def _command(self) -> list[str]:
        _, *rest = super()._command()
        return [sys.executable, "-m", "tests.tools.bench.holds.fair_server", str(self.folder / "holds"), *rest]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--store", choices=["sqlite", "mysql"], default="sqlite")
    parser.add_argument("--times", type=int, default=5, help="how often each load is made")
    parser.add_argument("--load", action="append", choices=list(LOADS), help="only this one; may be repeated")
    parser.add_argument("--set", dest="sets", action="append", default=[])
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        show = Console()
        options = with_database(
            Options(agents=given.agents, store=given.store, sets=tuple(given.sets), seed=1), folder, stack, show
        )
        target = Instrumented(folder, options)
        stack.callback(target.close)
        target.start()
        fleet = Fleet(
            target, files.split(given.agents, files.limit(), None, min(APART, given.agents - 1)), seed=1, folder=folder
        )
        stack.callback(fleet.close)
        run = Run(options, target, fleet, ResourceSampler(target, fleet), show, time.monotonic() + 3600)
        fleet.dial()
        run.wait_connected(300)
        time.sleep(2)
        with target.api() as api:
            done = api.wait_final(api.json("POST", "/run", {"targets": run.all_targets(api), "command": ANSWERS}), 120)
            for name in ("nothing", *(given.load or LOADS)):
                begin = time.monotonic()
                for _ in range(given.times):
                    if name == "nothing":
                        time.sleep(0.5)
                    else:
                        LOADS[name](run, api, done["task_id"])
                    time.sleep(0.3)
                _tell(name, folder / "holds", begin, time.monotonic())
    return 0


def _tell(name: str, out: Path, begin: float, end: float) -> None:
    steps, passes, where = [], [], Counter[str]()
    worst: dict[str, tuple[float, float]] = {}
    for line in out.read_text().splitlines():
        kind, at, wall, cpu, task, place = json.loads(line)
        if not begin <= at <= end + 0.5:
            continue
        if kind == "pass":
            passes.append(wall)
            continue
        steps.append((wall, cpu))
        if wall >= TARGET:
            key = f"{task.rpartition('.')[2]}  {place or '?'}"
            where[key] += 1
            worst[key] = max(worst.get(key, (0.0, 0.0)), (wall, cpu))
    longest = max(steps, default=(0.0, 0.0))
    over = sum(wall >= TARGET for wall, _ in steps)
    busy = sum(cpu >= TARGET for _, cpu in steps)
    print(
        f"\n{name}: longest step {longest[0] * 1000:.1f} ms ({longest[1] * 1000:.1f} of CPU), {over} above "
        f"{TARGET * 1000:g} ms, {busy} by CPU; "
        f"longest pass of the loop {max(passes, default=0.0) * 1000:.1f} ms"
    )
    for key, times in sorted(where.items(), key=lambda item: -worst[item[0]][0])[:ROWS]:
        print(
            f"  {times:4} times, up to {worst[key][0] * 1000:5.1f} ms ({worst[key][1] * 1000:5.1f} of CPU)  {key}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
