"""Queue of messages for the present stream, in order."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class SendQueue(Generic[T]):
    """Many producers, one consumer. While the queue holds `limit` items, the agent stops reading, so that answers stay
    bounded.
    """

    def __init__(self, limit: int = 1_024) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        self._items.append(item)
        self._notify()

    def clear(self) -> None:
        self._items.clear()
        self._notify()

    async def peek(self) -> T:
        """Wait for the next item and return it.

        The item stays in the queue until `done`, so that an empty queue means that everything has been sent.
        """
        while not self._items:
            await self._changed.wait()
        return self._items[0]

    def done(self) -> None:
        """Remove the item that `peek` returned last."""
        if self._items:
            self._items.popleft()
        self._notify()

    async def wait_not_full(self) -> None:
        """Wait until the queue is below its limit."""
        while len(self._items) >= self._limit:
            await self._changed.wait()

    async def wait_empty(self) -> None:
        """Wait until everything has been sent."""
        while self._items:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
