"""Garbage is collected from time to time, in an idle moment if there is one."""

from __future__ import annotations

import gc

import pytest
import trio
from trio.testing import MockClock

from server.ops import garbage


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times: list[float] = []
    monkeypatch.setattr(gc, "collect", lambda: times.append(trio.current_time()))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "unfreeze", lambda: None)
    return times


@pytest.mark.parametrize(("busy_for", "at"), [(0.0, 1800.0), (1800.0, 1800.0), (2000.0, 2000.0), (1e9, 2400.0)])
async def test_collection_waits_for_an_idle_moment_with_a_limit(
    busy_for: float, at: float, collected: list[float], autojump_clock: MockClock
) -> None:
    begun = trio.current_time()
    with trio.move_on_after(3000):
        await garbage.collect_when_idle(lambda: trio.current_time() - begun >= busy_for)
    assert len(collected) == 1 and collected[0] - begun == pytest.approx(at, abs=2 * garbage.LOOKS)


def test_the_oldest_generation_is_collected_only_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        garbage.freeze_startup_objects()
        assert gc.get_threshold() == garbage.THRESHOLDS and garbage.THRESHOLDS[2] >= 1_000_000
        assert gc.get_freeze_count() >= frozen and gc.isenabled()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
