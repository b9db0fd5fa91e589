"""`make chaos`: a storm of faults on real processes; prints the census, writes a JSON report, and ends with 1 if anything is not right."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import trio

from loadtest.files import limit
from tests.chaos.storm import Options, storm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=Options.agents)
    parser.add_argument("--executions", type=int, default=Options.executions)
    parser.add_argument("--kills", type=int, default=Options.kills)
    parser.add_argument("--seed", type=int, default=Options.seed)
    parser.add_argument("--store", choices=("sqlite", "mysql"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of the plan; by default 4 for each kill")
    parser.add_argument("--report", type=Path, default=Path("chaos.json"))
    parser.add_argument("--keep", type=Path, help="a directory that does not exist yet, for all logs and states")
    asked = parser.parse_args()
    limit()
    options = Options(asked.agents, asked.executions, asked.kills, asked.seed, asked.store, asked.seconds)
    print(f"seed {options.seed}; again: {options.command}", flush=True)
    with tempfile.TemporaryDirectory(prefix="clarion-chaos-") as made:
        folder = asked.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=asked.keep is None)
        report = trio.run(storm, options, folder)
    asked.report.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    print(report.text())
    print(f"written: {asked.report}")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
