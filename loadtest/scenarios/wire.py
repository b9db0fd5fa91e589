"""One round from wire to tally, without REST and database: a benchmark in a separate process that imports
server code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson

from loadtest.run import Run

ROOT = Path(__file__).parents[2]
BENCH = "tests.tools.bench.wire.wire"
ROUNDS = 5


def wire(run: Run) -> None:
    """Run the benchmark after the server and the hosts of the run have ended, so that they take no CPU time."""
    if run.options.existing is not None:
        run.note(
            "wire_cpu_us_per_agent is null: it is a figure of the source tree here, and says nothing of a "
            "server that was not started from it."
        )
        return
    if not ROOT.joinpath(*BENCH.split(".")).with_suffix(".py").exists():
        run.note(
            f"wire_cpu_us_per_agent is null: {BENCH}, which measures it, belongs to the source tree and is not "
            f"installed."
        )
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"CLARION_PURE": "1"} if run.options.pure else {})}
    command = [
        sys.executable,
        "-m",
        BENCH,
        "--agents",
        str(run.fleet.size),
        "--rounds",
        str(ROUNDS),
        *(["--tls"] if run.options.tls else []),
    ]
    try:
        # its own process group, so that its children can be ended with it
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
        ) as bench:
            try:
                out, err = bench.communicate(timeout=run.left(run.options.limit))
            except BaseException:
                os.killpg(bench.pid, 9)
                raise
    except subprocess.TimeoutExpired:
        run.unfinished.append(f"wire: {BENCH} was not done when the time of the run was over")
        return
    if bench.returncode:
        run.unfinished.append(
            f"wire: {BENCH} ended with code {bench.returncode}: {err.decode(errors='replace')[-1500:]}"
        )
        return
    found = orjson.loads(out)
    run.figures.wire_cpu_us_per_agent = found["wire_cpu_us_per_agent"]
    run.details["wire"] = {key: value for key, value in found.items() if key not in ("machine", "agents")}
