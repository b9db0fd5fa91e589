"""The writer: order, batches, callbacks after the commit, retries, refusals, water marks, the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from server.core.effects import Save, SaveExecution, SaveMeta, SaveOutput
from server.core.model import Execution
from server.store.base import StoreRefused, StoreUnavailable
from server.store.water import WriterLimits
from server.store.writer import Writer, WriterClosed
from tests.store.fakes import FakeStore, TrioClock, half
from tests.store.make import create, hosts, output


def facts(*names: object) -> list[Save]:
    return [SaveMeta(str(name), "") for name in names]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


Make = Callable[..., Any]


@pytest.fixture
def make(store: FakeStore) -> Make:
    def made(committed: Callable[[float], None] = lambda seconds: None, **limits: Any) -> Writer:
        return Writer(store, clock=TrioClock(), entropy=half, limits=WriterLimits(**limits), committed=committed)  # type: ignore[arg-type]

    return made


@pytest.mark.capability("O2", "I3")
async def test_a_callback_runs_after_its_commit_and_in_order(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(max_rows=3)
    await nursery.start(writer.run)
    told: list[tuple[int, int]] = []
    for number in range(10):
        writer.put(
            facts(number) if number % 3 else [],
            lambda number=number: told.append((number, sum(map(len, store.written)))),
        )
    assert told == []
    await writer.aclose()
    assert [number for number, _ in told] == list(range(10))
    for number, durable in told:
        assert durable >= sum(1 for other in range(number + 1) if other % 3)
    assert [save for batch in store.written for save in batch] == facts(1, 2, 4, 5, 7, 8)


async def test_a_unit_is_never_split_even_if_it_is_larger_than_a_batch(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(max_rows=4)
    for size in (3, 2, 9, 1, 3, 1):
        writer.put(facts(*range(size)))
    await nursery.start(writer.run)
    await writer.aclose()
    assert list(map(len, store.written)) == [3, 2, 9, 4, 1]


async def test_bytes_bound_a_batch_too(store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock) -> None:
    writer = make(max_bytes=100_000)
    for letter in b"abcd":
        writer.put([SaveOutput(output(bytes([letter]) * 40_000))])
    await nursery.start(writer.run)
    await writer.aclose()
    assert list(map(len, store.written)) == [2, 2]


async def test_an_idle_writer_writes_at_once_and_a_busy_one_lingers(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(linger_ms=5)
    await nursery.start(writer.run)
    await trio.sleep(1)
    begun = trio.current_time()
    await writer.commit(facts("first"))
    assert trio.current_time() == begun
    for number in range(10):
        writer.put(facts(number))
        await trio.sleep(0.001)
    await writer.aclose()
    assert store.times[1] - begun == pytest.approx(0.005)
    assert len(store.written) == 3 and sum(map(len, store.written)) == 11


async def test_trickling_units_cost_at_most_two_commits_per_linger(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(linger_ms=5)
    await nursery.start(writer.run)
    rng = random.Random(3)
    begun = trio.current_time()
    for number in range(2000):
        writer.put(facts(number))
        await trio.sleep(rng.choice([0, 0, 0.0001, 0.001, 0.004, 0.02]))
    lingers = (trio.current_time() - begun) / 0.005
    await writer.aclose()
    assert len(store.written) <= 2 * lingers + 2


@pytest.mark.capability("O2")
async def test_a_full_batch_does_not_linger(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(linger_ms=1000, max_rows=5)
    await nursery.start(writer.run)
    await writer.commit(facts("warm"))
    begun = trio.current_time()
    for number in range(5):
        writer.put(facts(number))
    await trio.testing.wait_all_tasks_blocked()
    assert store.times[-1] == begun and len(store.written) == 2
    nursery.cancel_scope.cancel()


async def test_what_comes_during_a_commit_is_the_next_batch(
    make: Make, store: FakeStore, nursery: Any, autojump_clock: MockClock
) -> None:
    store.seconds = 0.1
    writer = make()
    await nursery.start(writer.run)
    writer.put(facts("a"))
    await trio.sleep(0.05)
    for number in range(100):
        writer.put(facts(number))
    await writer.aclose()
    assert list(map(len, store.written)) == [1, 100]


async def test_an_empty_commit_waits_for_everything_before_it_and_for_nothing_else(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(linger_ms=1000)
    await nursery.start(writer.run)
    await writer.commit([])
    assert store.attempts == 0
    writer.put(facts("a"))
    await writer.commit([])
    assert len(store.written) == 1
    begun = trio.current_time()
    await writer.commit([])
    assert trio.current_time() == begun
    await writer.aclose()


@pytest.mark.capability("Q13")
async def test_while_the_database_is_away_nothing_is_lost_or_reordered(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(retry_min=0.1, retry_max=0.8, max_rows=2)
    store.errors.extend(StoreUnavailable("away") for _ in range(6))
    with structlog.testing.capture_logs() as logs:
        await nursery.start(writer.run)
        for number in range(7):
            writer.put(facts(number))
        begun = trio.current_time()
        await trio.sleep(0.5)
        assert not writer.statistics().available and writer.statistics().queued_rows == 7
        await writer.aclose()
    assert [save for batch in store.written for save in batch] == facts(*range(7))
    # dice at one half: three quarters of 0.1, 0.2, 0.4, 0.8, 0.8, 0.8
    assert store.times[0] - begun == pytest.approx(0.75 * 3.1)
    assert [(line["event"], line["waiting_rows"]) for line in logs] == [
        ("database_unavailable", 7),
        ("database_available", 7),
    ]
    assert (writer.statistics().retries, writer.statistics().available) == (6, True)


async def test_a_refused_commit_hurts_nobody_else(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make()
    bad = facts("bad")
    store.poison = bad
    told: list[str] = []
    writer.put(facts("a"), lambda: told.append("a"))
    async with trio.open_nursery() as inner:

        async def refused() -> None:
            with pytest.raises(StoreRefused, match="poison"):
                await writer.commit(bad)
            told.append("refused")

        inner.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        writer.put(facts("b"), lambda: told.append("b"))
        store.errors.append(StoreUnavailable("away"))
        await nursery.start(writer.run)
    await writer.aclose()
    assert sorted(told) == ["a", "b", "refused"] and told.index("a") < told.index("b")
    assert [save for batch in store.written for save in batch] == facts("a", "b")
    assert writer.statistics().refused == 1 and writer.statistics().queued_rows == 0


async def test_a_refused_put_stops_the_writer_and_tells_whoever_waits(
    store: FakeStore, make: Make, autojump_clock: MockClock
) -> None:
    writer = make()
    store.poison = facts("bad")
    told: list[str] = []
    writer.put(facts("a"), lambda: told.append("a"))
    writer.put(store.poison, lambda: told.append("bad"))

    async def waits() -> None:
        with pytest.raises(WriterClosed):
            await writer.commit(facts("c"))
        told.append("c")

    with pytest.raises(ExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope(shield=True):
                await writer.run()
    assert raised.group_contains(StoreRefused)
    assert told[0] == "a" and "bad" not in told
    with pytest.raises(WriterClosed):
        writer.put(facts("d"))
    await writer.aclose()


async def test_a_failing_callback_stops_the_writer(make: Make, autojump_clock: MockClock) -> None:
    writer = make()

    def fails() -> None:
        raise RuntimeError("broken")

    writer.put(facts("a"), fails)
    with pytest.raises(RuntimeError, match="broken"):
        await writer.run()


@pytest.mark.parametrize("by", ["rows", "bytes"])
async def test_between_the_water_marks_it_stays_as_it_was(
    by: str, store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    limits = (
        {"high_water": 10, "low_water": 5}
        if by == "rows"
        else {"high_water_bytes": 10 * 512, "low_water_bytes": 5 * 512}
    )
    writer = make(max_rows=1, **limits)
    store.seconds = 1.0
    for number in range(9):
        writer.put(facts(number))
    assert not writer.full
    await writer.wait_room()
    writer.put(facts(9))
    assert writer.full and writer.statistics().full
    begun = trio.current_time()
    await nursery.start(writer.run)
    await writer.wait_room()
    assert trio.current_time() - begun == pytest.approx(5.0)
    assert not writer.full
    await writer.aclose()


@pytest.mark.parametrize("targets, rows", [(0, 1), (1, 1), (3, 2), (99, 34), (10_000, 3_334)])
async def test_a_created_task_weighs_what_its_rows_cost(
    targets: int, rows: int, make: Make, autojump_clock: MockClock
) -> None:
    writer = make(high_water=rows)
    writer.put([create(hosts(targets))])
    assert writer.full and writer.statistics().queued_rows == rows
    assert writer.statistics().queued_bytes >= 100 * targets


async def test_a_cancelled_commit_is_written_all_the_same(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    store.seconds = 1.0
    writer = make()
    await nursery.start(writer.run)
    with trio.move_on_after(0.5) as scope:
        await writer.commit(facts("a"))
    assert scope.cancelled_caught
    await writer.aclose()
    assert store.written == [facts("a")]


async def test_closing_writes_what_callbacks_add(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make(linger_ms=1000)
    writer.put(facts("a"), lambda: writer.put(facts("b"), lambda: writer.put(facts("c"))))
    await nursery.start(writer.run)
    await writer.aclose()
    assert [save for batch in store.written for save in batch] == facts("a", "b", "c")
    with pytest.raises(WriterClosed):
        await writer.commit([])


async def test_closing_is_bounded_by_the_callers_patience(
    store: FakeStore, make: Make, nursery: Any, autojump_clock: MockClock
) -> None:
    writer = make()
    store.gate = trio.Event()
    writer.put(facts("a"))
    await nursery.start(writer.run)
    with trio.move_on_after(3) as scope:
        await writer.aclose()
    assert scope.cancelled_caught and store.written == []
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(20))
async def test_any_mixture_of_faults_ends_with_every_unit_once_in_order(seed: int, autojump_clock: MockClock) -> None:
    rng = random.Random(seed)
    store = FakeStore(seconds=0.003)
    writer = Writer(
        store,
        clock=TrioClock(),
        entropy=half,
        limits=WriterLimits(linger_ms=rng.choice([0, 5]), max_rows=rng.choice([1, 7, 500]), high_water=50),
    )  # type: ignore[arg-type]
    called: list[int] = []
    refused: list[int] = []
    expected: list[Save] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)

        async def commit(number: int, saves: list[Save]) -> None:
            try:
                await writer.commit(saves)
            except StoreRefused:
                refused.append(number)

        for number in range(200):
            saves = facts(*(f"{number}.{part}" for part in range(rng.randint(0, 4))))
            if saves and rng.random() < 0.05:
                store.poison.append(saves[0])
                nursery.start_soon(commit, number, saves)
                await trio.lowlevel.checkpoint()
            else:
                expected += saves
                writer.put(saves, lambda number=number: called.append(number))
            if rng.random() < 0.1:
                store.errors.extend([StoreUnavailable("away")] * rng.randint(1, 3))
            if rng.random() < 0.3:
                await trio.sleep(rng.random() / 100)
            await writer.wait_room()
        await writer.aclose()
    assert [save for batch in store.written for save in batch] == expected
    assert called == sorted(called) and len(called) + len(refused) == 200
    assert len(refused) == len(store.poison)


async def test_each_commit_is_measured(make: Make, nursery: Any, autojump_clock: MockClock) -> None:
    seen: list[float] = []
    writer = make(committed=seen.append)
    await nursery.start(writer.run)
    await writer.commit(facts(1))
    await writer.commit([])
    await writer.commit(facts(2))
    assert len(seen) == 2 and all(seconds >= 0 for seconds in seen)


def executions(command: str, number: int) -> list[Save]:
    return [SaveExecution(Execution(command, f"h{place}")) for place in range(number)]
