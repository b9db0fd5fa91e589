"""What is still to be said on the present stream, in order."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Outbox(Generic[T]):
    """One writer takes, anybody puts. Past `limit` the reader stops reading, so that what is answered stays bounded."""

    def __init__(self, limit: int = 1_024) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        self._items.append(item)
        self._stir()

    def clear(self) -> None:
        self._items.clear()
        self._stir()

    async def peek(self) -> T:
        """The next item; it stays until `done`, so that an empty outbox means that everything has been sent."""
        while not self._items:
            await self._changed.wait()
        return self._items[0]

    def done(self) -> None:
        """The item last peeked at has been sent."""
        if self._items:
            self._items.popleft()
        self._stir()

    async def room(self) -> None:
        while len(self._items) >= self._limit:
            await self._changed.wait()

    async def empty(self) -> None:
        while self._items:
            await self._changed.wait()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
