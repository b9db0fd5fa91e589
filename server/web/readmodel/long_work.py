"""Runs long computations without blocking the event loop.

A computation that can be interrupted runs in slices; any other runs in a thread. Python runs only one thread at a time,
and a waiting thread gets its turn after up to 5 ms. So only one computation runs at a time, and the event loop waits
for one thread at most.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class LongWork:
    """Runs one long computation at a time, for all requests together."""

    def __init__(self) -> None:
        self._one = trio.CapacityLimiter(1)

    @property
    def busy(self) -> bool:
        """True while a computation runs."""
        return self._one.borrowed_tokens > 0

    async def in_slices(self, steps: Generator[None, None, T]) -> T:
        """Run a generator to its end, and return its result. A computation that ends within its first slice does not
        wait for others."""
        done, value = _step(steps)
        if done:
            return value  # type: ignore[return-value]
        async with self._one:
            while not done:
                await trio.lowlevel.checkpoint()
                done, value = _step(steps)
        return value  # type: ignore[return-value]

    async def in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Run `work(*arguments)` in a thread. It must not read anything that the event loop changes."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._one)


def _step(steps: Generator[None, None, T]) -> tuple[bool, T | None]:
    try:
        next(steps)
    except StopIteration as end:
        return True, end.value
    return False, None
