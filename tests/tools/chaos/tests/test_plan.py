"""The plan of faults is the same for the same seed and contains everything that was requested."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.tools.chaos.__main__ import arguments
from tests.tools.chaos.plan import AGENT, COMMIT, DISKS, KILL_KINDS, NETWORK, Fault, Store, draw
from tests.tools.chaos.runs.chaos_run import Options


def planned(seed: int, store: Store = "sqlite", kills: int = 100) -> list[Fault]:
    return draw(seed, kills=kills, agents=200, store=store, seconds=400, silence=4, disks=DISKS, small=2)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert planned(1) == planned(1) != planned(2)


@pytest.mark.parametrize("store", ["sqlite", "mysql"])
@pytest.mark.parametrize("kills", [5, 8, 100, 333])
def test_a_plan_has_the_requested_kills_and_every_kind_of_fault(store: Store, kills: int) -> None:
    counts = Counter(fault.kind for fault in planned(3, store, kills))
    assert sum(counts[kind] for kind in KILL_KINDS) == kills
    assert counts["kill server"] and counts["kill agents"]
    if kills >= 100:
        assert set(counts) >= {*NETWORK, *AGENT, *DISKS, "stop server"}
        assert (
            (counts[COMMIT] > 0)
            == (counts["kill database"] > 0)
            == (store == "mysql")
            == (counts["lock database"] == 0)
        )


def test_faults_are_ordered_within_the_time_and_name_existing_agents() -> None:
    plan = planned(4)
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert all(0 <= fault.at <= 400 and 0 <= fault.seconds < 10 for fault in plan)
    assert all(set(fault.hosts) <= set(range(200)) for fault in plan)
    assert all(fault.hosts for fault in plan if fault.kind in (*NETWORK, *AGENT)) and {
        fault.lane for fault in plan
    } == {"server", "agents", "network"}


@pytest.mark.parametrize("words", [[], ["--edge"], ["--race"], ["--soak"], ["--partition"], ["--lines"], ["--outage"]])
def test_every_mode_of_the_command_line_has_usable_defaults(words: list[str]) -> None:
    asked = arguments(words)
    for name in ("agents", "executions", "kills", "seed"):
        assert isinstance(getattr(asked, name), int), name
    options = Options(asked.agents, asked.executions, asked.kills, asked.seed, asked.store, asked.seconds)
    assert re.fullmatch(r"make chaos( [A-Z]+=\w+)+", options.command)
