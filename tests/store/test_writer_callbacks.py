"""The writer calls the callbacks of a large batch while it writes the next one."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from server.core.effects import Save, SaveMeta
from server.store import writer as writer_module
from server.store.base import StoreRefused, StoreUnavailable
from server.store.water import WriterLimits
from server.store.writer import CALLBACKS_IN_A_ROW, Writer, WriterClosed
from tests.store.fakes import FakeStore, TrioClock, half

MANY = 5 * CALLBACKS_IN_A_ROW


def facts(*names: object) -> list[Save]:
    return [SaveMeta(str(name), "") for name in names]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def writer(store: FakeStore) -> Writer:
    return Writer(store, clock=TrioClock(), entropy=half, limits=WriterLimits(linger_ms=0))


async def test_a_unit_is_written_while_the_callbacks_of_a_large_batch_are_called(
    store: FakeStore, writer: Writer, nursery: Any, autojump_clock: MockClock
) -> None:
    called: list[object] = []
    written_at: list[int] = []

    def begin() -> None:
        called.append(0)
        writer.put(facts("late"), lambda: called.append("late"))

    writer.put(facts(0), begin)
    for number in range(1, MANY):
        writer.put(facts(number), lambda number=number: called.append(number))
    store.writing = lambda saves: written_at.append(len(called))
    await nursery.start(writer.run)
    await writer.aclose()
    assert store.written == [facts(*range(MANY)), facts("late")]
    assert 1 <= written_at[1] < MANY, "it waited until the callbacks of the large batch were called"
    assert called == [*range(MANY), "late"], "the callbacks are called in the order of the commits"


async def test_at_most_one_batch_has_callbacks_that_are_not_called(
    store: FakeStore, writer: Writer, nursery: Any, autojump_clock: MockClock
) -> None:
    called: list[int] = []
    behind: list[int] = []
    store.writing = lambda saves: behind.append(sum(map(len, store.written)) - len(called))

    def add(number: int) -> None:
        called.append(number)
        if number < 4 * MANY:
            writer.put(facts(number + MANY), lambda: add(number + MANY))

    for number in range(MANY):
        writer.put(facts(number), lambda number=number: add(number))
    await nursery.start(writer.run)
    await writer.aclose()
    assert called == list(range(len(called))) and len(called) >= 4 * MANY
    assert max(behind) <= max(map(len, store.written))


@pytest.mark.parametrize("place", [0, CALLBACKS_IN_A_ROW - 1, CALLBACKS_IN_A_ROW, MANY - 1])
async def test_a_callback_that_fails_stops_the_writer_wherever_it_stands(
    place: int, store: FakeStore, writer: Writer, autojump_clock: MockClock
) -> None:
    called: list[int] = []
    waiting: list[type[Exception]] = []

    def call(number: int) -> None:
        if number == place:
            raise ZeroDivisionError
        called.append(number)

    async def wait() -> None:
        try:
            await writer.commit(facts("later"))
        except WriterClosed as error:
            waiting.append(type(error))

    for number in range(MANY):
        writer.put(facts(number), lambda number=number: call(number))
    store.seconds = 1.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        with pytest.raises(ZeroDivisionError):
            await writer.run()
    assert called == list(range(place)) and waiting == [WriterClosed]


async def test_a_refused_commit_behind_a_large_batch_is_told_after_the_callbacks_of_that_batch(
    store: FakeStore, writer: Writer, nursery: Any, autojump_clock: MockClock
) -> None:
    called: list[object] = []
    store.poison.append(facts("bad")[0])

    async def commit() -> None:
        with pytest.raises(StoreRefused):
            await writer.commit(facts("bad"))
        called.append("refused")

    for number in range(MANY):
        writer.put(facts(number), lambda number=number: called.append(number))
    await nursery.start(writer.run)
    await trio.testing.wait_all_tasks_blocked()
    called.clear()
    for number in range(MANY):
        writer.put(facts(f"again {number}"), lambda number=number: called.append(number))
    nursery.start_soon(commit)
    await trio.sleep(1)
    await writer.aclose()
    assert called == [*range(MANY), "refused"]


@pytest.mark.parametrize("in_a_row", [1, 3, 50])
@pytest.mark.parametrize("rows", [1, 7, 500])
async def test_every_callback_is_called_once_in_order_whatever_the_database_does(
    in_a_row: int, rows: int, store: FakeStore, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CALLBACKS_IN_A_ROW", in_a_row)
    writer = Writer(store, clock=TrioClock(), entropy=half, limits=WriterLimits(max_rows=rows))
    called: list[int] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)
        for number in range(300):
            writer.put(facts(number) if number % 5 else [], lambda number=number: called.append(number))
            if number % 40 == 0:
                store.errors.extend([StoreUnavailable("away")] * 2)
            if number % 7 == 0:
                await trio.sleep(0.001 * (number % 3))
        await writer.aclose()
    assert called == list(range(300))
    assert [save for batch in store.written for save in batch] == facts(*(n for n in range(300) if n % 5))
