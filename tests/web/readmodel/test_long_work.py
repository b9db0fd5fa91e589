"""Long work runs in slices, one piece at a time for all requests, and the event loop continues in between."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import trio

from server.web.readmodel.long_work import LongWork


def steps(name: str, number: int, seen: list[str]) -> Generator[None, None, str]:
    for _ in range(number):
        seen.append(name)
        yield
    return name


async def test_of_two_pieces_of_long_work_the_second_waits_for_the_first() -> None:
    long_work, seen = LongWork(), list[str]()

    async def work(name: str) -> None:
        assert await long_work.in_slices(steps(name, 5, seen)) == name

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "a")
        nursery.start_soon(work, "b")
    first = seen[2]  # each runs one slice at once before it waits for its turn
    assert sorted(seen[:2]) == ["a", "b"] and seen[2:6] == [first] * 4 and len(seen) == 10


async def test_others_get_their_turn_between_two_slices() -> None:
    long_work, turns, seen = LongWork(), list[int](), list[str]()

    async def others() -> None:
        while len(seen) < 20:
            turns.append(len(seen))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await long_work.in_slices(steps("a", 20, seen))
    assert len(turns) > 10


async def test_short_work_does_not_wait() -> None:
    long_work = LongWork()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(long_work.in_slices, steps("long", 1_000, []))
        await trio.lowlevel.checkpoint()
        with trio.fail_after(1):
            assert await long_work.in_slices(steps("short", 0, [])) == "short"
        nursery.cancel_scope.cancel()


async def test_failed_work_does_not_block_the_next() -> None:
    def broken() -> Generator[None, None, None]:
        yield
        raise LookupError

    long_work = LongWork()
    with pytest.raises(LookupError):
        await long_work.in_slices(broken())
    assert not long_work.busy and await long_work.in_slices(steps("next", 3, [])) == "next"
