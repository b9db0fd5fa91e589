"""Work that takes long, done so that the event loop goes on meanwhile.

A slice at a time, where the work can stop in between; or in a thread, where it cannot. Python lets only one thread
compute at a time, and a
thread that waits gets its turn after 5 ms at most, so one thread at a time does such work: the loop then waits for no
more than one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Slices:
    """One piece of long work at a time, for all requests together."""

    def __init__(self) -> None:
        self._one = trio.CapacityLimiter(1)

    @property
    def busy(self) -> bool:
        """Whether such work is under way."""
        return self._one.borrowed_tokens > 0

    async def of(self, steps: Generator[None, None, T]) -> T:
        """What `steps` returns, or raises. What is done within its first slice waits for no other work."""
        done, value = _step(steps)
        if done:
            return value  # type: ignore[return-value]
        async with self._one:
            while not done:
                await trio.lowlevel.checkpoint()
                done, value = _step(steps)
        return value  # type: ignore[return-value]

    async def thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """`work(*arguments)` in a thread; it must not look at anything that the loop changes."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._one)


def _step(steps: Generator[None, None, T]) -> tuple[bool, T | None]:
    try:
        next(steps)
    except StopIteration as end:
        return True, end.value
    return False, None
