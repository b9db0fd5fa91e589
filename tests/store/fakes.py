"""A store in memory that fails when told to, a clock that is trio's, and dice that always show the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

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
    """`written`: the saves of every transaction. `errors`: raised by the next writes, None for success. A save in
    `poison`
    is refused. Each write takes `seconds`; `gate` holds writes up while it is replaced by an unset event."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.written: list[list[Save]] = []
        self.times: list[float] = []
        self.errors: deque[Exception | None] = deque()
        self.poison: list[Save] = []
        self.gate = trio.Event()
        self.gate.set()
        self.attempts = 0

    async def write(self, saves: Sequence[Save]) -> None:
        self.attempts += 1
        await trio.sleep(self.seconds)
        await self.gate.wait()
        if self.errors and (error := self.errors.popleft()) is not None:
            raise error
        if any(save in self.poison for save in saves):
            raise StoreRefused("poison")
        self.written.append(list(saves))
        self.times.append(trio.current_time())
