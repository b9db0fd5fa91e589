"""Random faults against the real engines; a seed determines its run completely."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.simulate.report import STATUSES, replay, table
from tests.tools.simulate.run import Outcome, play, play_all, simulated
from tests.tools.simulate.swarm import FAULTS

ROOT = Path(__file__).parents[4]
SEEDS = int(os.environ.get("SIMULATE_SEEDS", "250"))


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return play_all(range(SEEDS))


@pytest.mark.capability("G1", "Q4", "I8", "I20", "F3")
def test_no_schedule_breaks_a_promise(outcome: Outcome) -> None:
    print("\n".join(table(outcome)))
    assert not outcome.failures, "\n".join(f"{replay(seed)}\n  {failure}" for seed, failure in outcome.failures.items())
    assert outcome.runs == SEEDS and outcome.starts > SEEDS


@pytest.mark.capability("Q4", "F3")
def test_every_fault_occurs_during_executions_of_every_status(outcome: Outcome) -> None:
    assert [name for name in FAULTS if not outcome.faults[name]] == []
    assert [status for status in STATUSES if not sum(outcome.covered[status, name] for name in FAULTS)] == []


def digest(seeds: str, **environment: str) -> str:
    """Return the digest of the traces of these seeds, produced in a separate process."""
    code = (
        f"from tests.tools.simulate.tests.test_simulation import traces; from _speedups import route; from "
        f"_speedups import tally; print(route.IMPLEMENTATION, tally.IMPLEMENTATION, traces({seeds}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def traces(*seeds: int) -> str:
    hashed = hashlib.sha256()
    with simulated():
        for seed in seeds:
            world, outcome = play(seed, trace=True)
            assert world.trace and not outcome.failures
            hashed.update("\n".join(world.trace).encode())
    return hashed.hexdigest()


def test_a_seed_gives_the_same_trace_in_any_process_and_on_the_plain_twins() -> None:
    first = digest("3, 11, 24, 77", PYTHONHASHSEED="1", CLARION_PURE="0")
    assert first.startswith("c c "), "built without a compiler: there is nothing to compare"
    assert digest("3, 11, 24, 77", PYTHONHASHSEED="2", CLARION_PURE="0") == first
    assert digest("3, 11, 24, 77", PYTHONHASHSEED="3", CLARION_PURE="1") == first.replace("c c ", "py py ")
