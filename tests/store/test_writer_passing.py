"""Small units pass large ones in the writer; reading from agents stops above a mark of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from server.core.effects import Save, SaveExecution, SaveMeta
from server.core.model import Execution
from server.store.base import StoreRefused
from server.store.water import WriterLimits
from server.store.writer import Writer
from tests.store.fakes import FakeStore, TrioClock, half


def facts(*names: object) -> list[Save]:
    return [SaveMeta(str(name), "") for name in names]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


Make = Callable[..., Any]


@pytest.fixture
def make(store: FakeStore) -> Make:
    return lambda **limits: Writer(store, clock=TrioClock(), entropy=half, limits=WriterLimits(**limits))  # type: ignore[arg-type]


def executions(command: str, number: int) -> list[Save]:
    return [SaveExecution(Execution(command, f"h{place}")) for place in range(number)]


async def test_a_small_unit_is_written_before_large_ones_that_wait(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    store.seconds = 1.0
    writer = make(max_rows=100)
    await nursery.start(writer.run)
    for _ in range(10):
        writer.put(executions("big", 100))
    await trio.sleep(0.5)
    begun = trio.current_time()
    assert writer.lags
    await writer.commit(executions("small", 1))
    assert trio.current_time() - begun == pytest.approx(1.5), "the transaction under way, and its own"
    await writer.commit(executions("big", 1))
    assert trio.current_time() - begun >= 9.5, "what is about the same command waits for all of it"
    assert writer.statistics().passed == 1
    await writer.aclose()


@pytest.mark.parametrize("small_rows", [0, 64])
async def test_one_that_is_refused_in_the_passing_lane_hurts_nobody_else(
    small_rows: int, store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    store.seconds = 1.0
    writer = make(max_rows=100, small_rows=small_rows)
    await nursery.start(writer.run)
    for _ in range(3):
        writer.put(executions("big", 100))
    await trio.sleep(0.5)
    store.poison = executions("bad", 1)
    told: list[str] = []
    writer.put(executions("good", 1), lambda: told.append("good"))
    with pytest.raises(StoreRefused, match="poison"):
        await writer.commit(executions("bad", 1))
    await writer.aclose()
    assert told == ["good"] and sum(map(len, store.written)) == 301 and writer.statistics().queued_rows == 0


async def test_reading_stops_above_a_mark_of_its_own(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    store.seconds = 1.0
    writer = make(max_rows=1, high_water=4, low_water=1, reading_high_water=8)
    for number in range(7):
        writer.put(facts(number))
    assert writer.full and not writer.reading_stopped
    writer.put(facts(7))
    assert writer.full and writer.reading_stopped
    await nursery.start(writer.run)
    begun = trio.current_time()
    await writer.wait_reading()
    assert trio.current_time() - begun == pytest.approx(4.0) and writer.full
    await writer.wait_room()
    assert trio.current_time() - begun == pytest.approx(7.0)
    await writer.aclose()
