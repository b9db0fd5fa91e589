"""Runs `make chaos`, `soak`, `partition`, `lines`, `outage`, `race` and `ack-edge`.

Prints the findings, writes a JSON report, and exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from loadtest.files import limit
from tests.tools.chaos.runs.acks import acks
from tests.tools.chaos.runs.chaos_run import Options, run_chaos
from tests.tools.chaos.runs.network_faults import run_network_faults
from tests.tools.chaos.runs.outage import outage
from tests.tools.chaos.runs.partition import partition
from tests.tools.chaos.runs.race import race
from tests.tools.chaos.runs.soak import soak

GOOD_ENDS = frozenset(("completed",))
EDGE_KILLS = 1_000
STANDARD = Options()
DEFAULTS = {
    "soak": (50, "soak.json"),
    "partition": (200, "partition.json"),
    "lines": (10, "lines.json"),
    "outage": (20, "outage.json"),
    "race": (10, "race.json"),
    "edge": (4, "ack-edge.json"),
    "chaos": (STANDARD.agents, "chaos.json"),
}
"""Agents and report of each mode."""


def defaults(place: int) -> str:
    """List the defaults of all modes for the help text."""
    return ", ".join(f"{values[place]} ({mode})" for mode, values in DEFAULTS.items())


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line, and fill in the defaults of its mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, help=f"default: {defaults(0)}")
    parser.add_argument("--executions", type=int, default=STANDARD.executions)
    parser.add_argument("--kills", type=int, help=f"default: {STANDARD.kills}; with --edge {EDGE_KILLS}")
    parser.add_argument("--seed", type=int, default=STANDARD.seed)
    parser.add_argument("--store", choices=("sqlite", "mysql"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of the plan; default: 8 per kill")
    parser.add_argument("--pace", type=float, default=1.0, help="soak: seconds between two tasks on all agents")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--soak", type=float, nargs="?", const=60.0, metavar="MINUTES", help="steady load, few faults")
    mode.add_argument(
        "--partition", type=float, nargs="?", const=600.0, metavar="SECONDS", help="cut off half the agents"
    )
    mode.add_argument(
        "--lines", type=float, nargs="?", const=60.0, metavar="SECONDS", help="each kind of network fault"
    )
    mode.add_argument("--outage", type=float, nargs="?", const=600.0, metavar="SECONDS", help="database unavailable")
    mode.add_argument("--race", type=int, nargs="?", const=10_000, metavar="COMMANDS", help="ends at their cancel")
    mode.add_argument("--edge", action="store_true", help="kill the server at an acknowledgement, --kills times")
    parser.add_argument("--report", type=Path, help=f"default: {defaults(1)}")
    parser.add_argument("--keep", type=Path, help="a new directory for all logs and states")
    asked = parser.parse_args(words)
    agents, report = DEFAULTS[next((name for name in DEFAULTS if getattr(asked, name, None)), "chaos")]
    asked.agents = asked.agents or agents
    asked.report = asked.report or Path(report)
    asked.kills = asked.kills or (EDGE_KILLS if asked.edge else STANDARD.kills)
    return asked


def main() -> int:
    asked = arguments()
    limit()
    with tempfile.TemporaryDirectory(prefix="clarion-chaos-") as made:
        folder = asked.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=asked.keep is None)
        if asked.soak:
            return steady(asked, folder)
        if asked.partition:
            return divided(asked, folder)
        if asked.lines:
            return bad_lines(asked, folder)
        if asked.outage:
            return without(asked, folder)
        if asked.race:
            return racing(asked, folder)
        return edge(asked, folder) if asked.edge else stormy(asked, folder)


def stormy(asked: argparse.Namespace, folder: Path) -> int:
    options = Options(asked.agents, asked.executions, asked.kills, asked.seed, asked.store, asked.seconds)
    print(f"seed {options.seed}; again: {options.command}", flush=True)
    report = trio.run(run_chaos, options, folder)
    asked.report.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    print(report.text())
    print(f"written: {asked.report}")
    return 0 if report.good else 1


def steady(asked: argparse.Namespace, folder: Path) -> int:
    print(
        f"seed {asked.seed}; again: make soak MINUTES={asked.soak:g} AGENTS={asked.agents} SEED={asked.seed}",
        flush=True,
    )
    found = trio.run(
        partial(soak, folder, agents=asked.agents, seconds=asked.soak * 60, seed=asked.seed, pace=asked.pace)
    )
    return tell(asked, found, set(found["rows"]) <= GOOD_ENDS)


def divided(asked: argparse.Namespace, folder: Path) -> int:
    print(
        f"seed {asked.seed}; again: make partition AGENTS={asked.agents} SECONDS={asked.partition:g} SEED={asked.seed}",
        flush=True,
    )
    found = trio.run(partial(partition, folder, agents=asked.agents, seconds=asked.partition, seed=asked.seed))
    return tell(asked, found.as_json(), found.good)


def bad_lines(asked: argparse.Namespace, folder: Path) -> int:
    found = trio.run(partial(run_network_faults, folder, agents=asked.agents, seconds=asked.lines, defaults=True))
    return tell(asked, found.as_json(), found.good)


def without(asked: argparse.Namespace, folder: Path) -> int:
    found = trio.run(partial(outage, folder, agents=asked.agents, seconds=asked.outage, store=asked.store))
    return tell(asked, found.as_json(), found.good)


def racing(asked: argparse.Namespace, folder: Path) -> int:
    print(
        f"seed {asked.seed}; again: make race AGENTS={asked.agents} COMMANDS={asked.race} SEED={asked.seed}", flush=True
    )
    found = trio.run(partial(race, folder, agents=asked.agents, commands=asked.race, seed=asked.seed))
    return tell(asked, found.as_json(), found.good)


def edge(asked: argparse.Namespace, folder: Path) -> int:
    found = trio.run(partial(acks, folder, agents=asked.agents, times=asked.kills))
    return tell(asked, found.as_json(), found.good)


def tell(asked: argparse.Namespace, found: dict[str, Any], good: bool) -> int:
    asked.report.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    print("good" if good else "NOT GOOD")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
