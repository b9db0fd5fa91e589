"""A timer wheel: many deadlines of one kind, checked once per tick, O(1) each."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")


class TimerWheel(Generic[K]):
    """Deadlines by key. A key is returned in the first tick after its time; setting it again adds a deadline.

    Args:
        tick: resolution in seconds.
        now: monotonic seconds.
    """

    __slots__ = ("_done", "_slots", "_tick")

    def __init__(self, tick: float, now: float) -> None:
        self._tick = tick
        self._done = int(now / tick)
        self._slots: dict[int, list[K]] = {}

    def set(self, key: K, when: float) -> None:
        """Add a deadline for the key."""
        slot = max(int(when / self._tick) + 1, self._done + 1)
        self._slots.setdefault(slot, []).append(key)

    def due(self, now: float) -> list[K]:
        """Remove and return all keys whose time has come, earliest tick first."""
        last = int(now / self._tick)
        keys: list[K] = []
        for slot in range(self._done + 1, last + 1):
            keys += self._slots.pop(slot, ())
        self._done = max(self._done, last)
        return keys
