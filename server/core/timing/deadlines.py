"""Deadline heap with lazy deletion. Each operation costs at most O(log n), amortized."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar


class Due(Protocol):
    """An item with one deadline. `ticket` belongs to Deadlines; 0 means that no deadline is set."""

    ticket: int


D = TypeVar("D", bound=Due)


class Deadlines(Generic[D]):
    """Deadlines of items, in seconds on the monotonic clock."""

    __slots__ = ("_dead", "_heap", "_tickets")

    def __init__(self) -> None:
        """Start without deadlines."""
        self._heap: list[tuple[float, int, D]] = []
        self._tickets = 0
        self._dead = 0

    def set(self, item: D, when: float) -> None:
        """Set or replace the item's deadline."""
        if item.ticket:
            self._dead += 1
        self._tickets += 1
        item.ticket = self._tickets
        heappush(self._heap, (when, self._tickets, item))
        self._sweep()

    def clear(self, item: D) -> None:
        """Remove the item's deadline, if it has one."""
        if item.ticket:
            item.ticket = 0
            self._dead += 1
            self._sweep()

    def due(self, now: float) -> list[D]:
        """Remove and return the items whose deadline is over at `now`, earliest first."""
        items: list[D] = []
        while self._heap and self._heap[0][0] <= now:
            _, ticket, item = heappop(self._heap)
            if item.ticket == ticket:
                item.ticket = 0
                items.append(item)
            else:
                self._dead -= 1
        return items

    def next(self) -> float | None:
        """Return the earliest deadline, or None."""
        while self._heap and self._heap[0][2].ticket != self._heap[0][1]:
            heappop(self._heap)
            self._dead -= 1
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        """Return the number of items that have a deadline."""
        return len(self._heap) - self._dead

    def _sweep(self) -> None:
        # Without this, each renewed deadline would leave a deleted entry in the heap for up to an hour.
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].ticket == entry[1]]
            heapify(self._heap)
            self._dead = 0
