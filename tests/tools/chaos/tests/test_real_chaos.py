"""Short version of `make chaos`: a few agents, a few kills, the whole verification."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.tools.chaos.plan import DISKS, KILL_KINDS
from tests.tools.chaos.runs.chaos_run import Options, Report, run_chaos

SQLITE = Options(agents=4, executions=60, kills=8, seed=1, store="sqlite", seconds=12)
MYSQL = Options(agents=3, executions=30, kills=5, seed=2, store="mysql", seconds=8)


def check(report: Report, options: Options) -> None:
    """Check that everything is right and that enough faults happened."""
    print(report.text(), *report.about["notes"], sep="\n")
    assert report.good, report.text()
    assert sum(number for kind, number in report.done.items() if kind in KILL_KINDS) == options.kills
    assert report.verdict.executions >= options.executions and report.verdict.statuses["completed"] > 0
    assert report.verdict.starts >= report.verdict.statuses["completed"] + report.verdict.reasons["exit_nonzero"]
    assert report.times["kill server: all agents back"] and report.times["kill agents: its session"]
    assert json.loads(json.dumps(report.as_json()))["again"].startswith("make chaos AGENTS=")


@pytest.mark.capability("G1", "Q4", "I8", "F1")
async def test_chaos_on_sqlite_loses_and_doubles_nothing(tmp_path: Path) -> None:
    report = await run_chaos(SQLITE, tmp_path / "site")
    check(report, SQLITE)
    assert bool(report.about["notes"]) == (os.geteuid() != 0 or not report.done.get(DISKS[0])), (
        "what could not be made is said"
    )
    assert report.done["lock database"]


@pytest.mark.capability("G1", "F1")
async def test_chaos_on_mariadb_with_kills_and_cut_commits_loses_and_doubles_nothing(tmp_path: Path) -> None:
    report = await run_chaos(MYSQL, tmp_path / "site")
    check(report, MYSQL)
    assert report.done["kill database"] and report.about["commits_cut"] >= 1


@pytest.mark.parametrize("command", [SQLITE.command, MYSQL.command])
def test_the_command_to_repeat_a_run_names_all_its_parameters(command: str) -> None:
    for word in ("AGENTS=", "EXECUTIONS=", "KILLS=", "SEED=", "STORE=", "--seconds"):
        assert word in command
