"""The scenario fairness on a real server with few hosts."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest

from loadtest import files
from loadtest.conduct import GOOD, conduct
from loadtest.options import ON_REQUEST, SCENARIOS, Options
from loadtest.reports.progress import Console
from loadtest.scenarios import ALL
from loadtest.scenarios.fairness import APART, FEWEST, LOADS, apart_of

pytestmark = pytest.mark.system


def test_fairness_prints_the_times_during_each_load_and_at_rest(tmp_path: Path) -> None:
    options = Options(
        agents=12, scenarios=("fairness",), fair_samples=3, seed=5, report=tmp_path / "report.json", limit=120.0
    )
    out = StringIO()
    assert conduct(options, Console(out)).code == GOOD
    told = out.getvalue()
    for name in ("idle", *LOADS):
        assert f"{name} p50 ms" in told and f"{name} p99 ms" in told
    figures = json.loads((tmp_path / "report.details.json").read_text())["scenarios"]
    assert all(figures["fairness"][f"{name}_load_seconds"] > 0 for name in LOADS), (
        "each was made while samples were taken"
    )
    assert figures["server_had_no_room"] == {"times": 0, "seconds_waited": 0.0}


def test_fairness_is_part_of_the_default_run_with_its_own_process_for_many_hosts() -> None:
    assert "fairness" in SCENARIOS and set(SCENARIOS) | set(ON_REQUEST) == set(ALL)
    assert apart_of(Options(agents=FEWEST)) == APART and apart_of(Options(agents=FEWEST - 1)) == 0
    assert apart_of(Options(agents=10_000, scenarios=("echo",))) == 0


@pytest.mark.parametrize(
    ("agents", "limit", "split"), [(1_000, 20_000, [950, 50]), (3_000, 1_200, [984, 983, 983, 50])]
)
def test_agents_with_their_own_process_are_last(agents: int, limit: int, split: list[int]) -> None:
    assert files.split(agents, limit, None, 50) == split
