"""`make chaos` and `make soak`: prints what was found, writes a JSON report, and ends with 1 if anything is not right."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from loadtest.files import limit
from tests.chaos.soak import soak
from tests.chaos.storm import Options, storm

GOOD_ENDS = frozenset(("completed",))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=Options.agents)
    parser.add_argument("--executions", type=int, default=Options.executions)
    parser.add_argument("--kills", type=int, default=Options.kills)
    parser.add_argument("--seed", type=int, default=Options.seed)
    parser.add_argument("--store", choices=("sqlite", "mysql"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of the plan; by default 4 for each kill")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="steady load instead, with one percent of faults")
    parser.add_argument("--report", type=Path, default=Path("chaos.json"))
    parser.add_argument("--keep", type=Path, help="a directory that does not exist yet, for all logs and states")
    asked = parser.parse_args()
    limit()
    with tempfile.TemporaryDirectory(prefix="clarion-chaos-") as made:
        folder = asked.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=asked.keep is None)
        return steady(asked, folder) if asked.soak else stormy(asked, folder)


def stormy(asked: argparse.Namespace, folder: Path) -> int:
    options = Options(asked.agents, asked.executions, asked.kills, asked.seed, asked.store, asked.seconds)
    print(f"seed {options.seed}; again: {options.command}", flush=True)
    report = trio.run(storm, options, folder)
    asked.report.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    print(report.text())
    print(f"written: {asked.report}")
    return 0 if report.good else 1


def steady(asked: argparse.Namespace, folder: Path) -> int:
    print(f"seed {asked.seed}; again: make soak MINUTES={asked.soak:g} AGENTS={asked.agents} SEED={asked.seed}", flush=True)
    found = trio.run(partial(soak, folder, agents=asked.agents, seconds=asked.soak * 60, seed=asked.seed))
    asked.report.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0 if set(found["rows"]) <= GOOD_ENDS else 1


if __name__ == "__main__":
    sys.exit(main())
