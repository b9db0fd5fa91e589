"""Long work goes on a slice at a time, one piece of it for all requests together, and the loop goes on meanwhile."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import trio

from server.web.readmodel.slices import Slices


def steps(name: str, number: int, seen: list[str]) -> Generator[None, None, str]:
    for _ in range(number):
        seen.append(name)
        yield
    return name


async def test_of_two_pieces_of_long_work_the_second_waits_for_the_first() -> None:
    slices, seen = Slices(), list[str]()

    async def work(name: str) -> None:
        assert await slices.of(steps(name, 5, seen)) == name

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "a")
        nursery.start_soon(work, "b")
    first = seen[2]  # each has done one slice at once, before it waits for its turn
    assert sorted(seen[:2]) == ["a", "b"] and seen[2:6] == [first] * 4 and len(seen) == 10


async def test_others_get_their_turn_between_two_slices() -> None:
    slices, turns, seen = Slices(), list[int](), list[str]()

    async def others() -> None:
        while len(seen) < 20:
            turns.append(len(seen))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await slices.of(steps("a", 20, seen))
    assert len(turns) > 10


async def test_short_work_waits_for_no_other() -> None:
    slices = Slices()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slices.of, steps("long", 1_000, []))
        await trio.lowlevel.checkpoint()
        with trio.fail_after(1):
            assert await slices.of(steps("short", 0, [])) == "short"
        nursery.cancel_scope.cancel()


async def test_what_fails_leaves_room_for_the_next() -> None:
    def broken() -> Generator[None, None, None]:
        yield
        raise LookupError

    slices = Slices()
    with pytest.raises(LookupError):
        await slices.of(broken())
    assert not slices.busy and await slices.of(steps("next", 3, [])) == "next"
