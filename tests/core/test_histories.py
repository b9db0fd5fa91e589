"""Random histories: no order of events causes an illegal step, and counters equal the rows after every call."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from server.core.events import HostConnected, Now, Outcome, Result, TaskCanceled, Tick
from server.core.states import ExecutionStatus, TaskStatus
from tests.core.shadow import HOSTS, History

HISTORIES = int(os.environ.get("HISTORIES", "100000"))
SEED = int(os.environ.get("SEED", "20260"))
CHUNK = 1_000


def play(seeds: range) -> int:
    """Play one history and return the number of its steps.

    Raises:
        AssertionError: A rule is broken. The text has the command that repeats the history.
    """
    steps = 0
    for seed in seeds:
        history = History(seed)
        try:
            for _ in range(4 + seed % 16):
                history.step()
                steps += 1
        except Exception as error:
            raise AssertionError(f"HISTORIES=1 SEED={seed} pytest {__file__}") from error
    return steps


@pytest.mark.capability("G1", "C7", "S3", "Q1", "Q3", "I2", "I4", "I6")
@pytest.mark.timeout(900)
def test_random_histories_break_no_rule() -> None:
    """The histories run in other processes: they use all cores, and measuring coverage does not slow them."""
    print(f"HISTORIES={HISTORIES} SEED={SEED}")
    chunks = [range(first, min(first + CHUNK, SEED + HISTORIES)) for first in range(SEED, SEED + HISTORIES, CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        assert sum(pool.map(play, chunks)) >= 4 * HISTORIES


def test_a_few_histories_run_in_this_process_for_coverage() -> None:
    assert play(range(SEED, SEED + 500)) > 0


@pytest.mark.capability("S2", "I5")
@pytest.mark.parametrize("seed", range(SEED, SEED + 300))
def test_every_history_can_be_ended(seed: int) -> None:
    """After a cancel of everything, the agents' answers and enough time, nothing is open."""
    history = History(seed)
    for _ in range(25):
        history.step()
    for number in range(1, history.made + 1):
        history.handle(TaskCanceled(f"t{number}"))
    for _ in range(200):
        if not history.engine.has_more:
            break
        history.handle(Tick())
    for session, host in enumerate(HOSTS, 1_000):
        history.handle(HostConnected(host, session, "journal-1", 4))
        for number in range(1, history.made + 1):
            for attempt in range(1, 5):
                history.handle(Result(host, f"c{number}", attempt, Outcome.CANCELED))
    history.now = Now(history.now.mono + 10_000, history.now.wall_ms)
    for _ in range(50):
        history.handle(Tick())
    assert not [row for row in history.shadow.rows.values() if not row.status.final]
    assert all(task.status.final for task in history.shadow.tasks.values())
    assert history.engine.state.in_flight == 0 and history.engine.state.parked == 0
    assert history.engine.next_deadline() is None or history.engine.state.grace.ticket


@pytest.mark.capability("M18", "I4")
@pytest.mark.parametrize("seed", range(SEED, SEED + 300))
def test_statistics_equal_a_recount(seed: int) -> None:
    history = History(seed)
    for _ in range(30):
        history.step()
        told = history.engine.statistics()
        recount = [0] * len(TaskStatus)
        for task in history.shadow.tasks.values():
            recount[task.status] += 1
        assert told.tasks == tuple(recount)
        rows = [0] * len(ExecutionStatus)
        for row in history.shadow.rows.values():
            rows[row.status] += 1
        assert told.executions == tuple(rows)
