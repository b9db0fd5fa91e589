"""A store in memory that fails when told to, a clock that is trio's, and dice that always show the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import trio

from server.core.effects import Save
from server.core.events import Now
from server.store.base import StoreRefused


class TrioClock:
    def now(self) -> Now:
        return Now(trio.current_time(), round(trio.current_time() * 1000))


def half(count: int) -> bytes:
    return b"\x80" + bytes(count - 1)


class FakeStore:
    """A store that keeps the saves of every transaction in `written`.

    Attributes:
        errors: raised by the next writes, one by each; None for success.
        poison: saves that the store refuses.
        seconds: how long each write takes.
        gate: holds writes up while it is an event that is not set.
        writing: called with the saves when a write begins.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.written: list[list[Save]] = []
        self.times: list[float] = []
        self.errors: deque[Exception | None] = deque()
        self.poison: list[Save] = []
        self.gate = trio.Event()
        self.gate.set()
        self.attempts = 0
        self.writing: Callable[[Sequence[Save]], object] = lambda saves: None

    async def write(self, saves: Sequence[Save]) -> None:
        self.attempts += 1
        self.writing(saves)
        await trio.sleep(self.seconds)
        await self.gate.wait()
        if self.errors and (error := self.errors.popleft()) is not None:
            raise error
        if any(save in self.poison for save in saves):
            raise StoreRefused("poison")
        self.written.append(list(saves))
        self.times.append(trio.current_time())
