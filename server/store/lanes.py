"""The units that wait to be written: a line, and a passing lane for small units unrelated to the line's.

Everything in the passing lane is written before anything in the line. So a unit in the line is never written before one
that was in the lane when it was queued. Two related units are always written in the order in which they were queued.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from server.store.units import Unit


class Lanes:
    """The queue of the writer.

    Args:
        small: rows of a unit that may pass, at most; 0: no unit may.
    """

    def __init__(self, small: int) -> None:
        """Create an empty queue."""
        self._small = small
        self._line: deque[Unit] = deque()
        self._passing: deque[Unit] = deque()
        self._held: Counter[str] = Counter()
        self._barriers = 0
        self._passing_alone = False
        self.rows = 0
        """Rows of all waiting units."""

    def __len__(self) -> int:
        """The number of waiting units."""
        return len(self._line) + len(self._passing)

    def __iter__(self) -> Iterator[Unit]:
        """Iterate over the units in the order in which they will be written."""
        yield from self._passing
        yield from self._line

    @property
    def line(self) -> int:
        """The number of units in the line."""
        return len(self._line)

    @property
    def first(self) -> Unit:
        """The next unit to be written."""
        return self._passing[0] if self._passing else self._line[0]

    @property
    def oldest(self) -> float:
        """The time at which the unit that has waited longest was queued, monotonic seconds."""
        return min(lane[0].since for lane in (self._passing, self._line) if lane)

    def add(self, unit: Unit) -> bool:
        """Queue a unit. Returns True if it passes others that wait."""
        self.rows += unit.rows
        order = unit.order
        if (
            unit.rows <= self._small
            and order.behind is not None
            and not self._barriers
            and self._held.keys().isdisjoint(order.behind)
        ):
            self._passing.append(unit)
            return bool(self._line)
        self._line.append(unit)
        self._held.update(order.holds)
        self._barriers += order.barrier
        return False

    def take(self, rows: int, size: int) -> list[Unit]:
        """Remove and return the next units.

        Units in the passing lane come first. While others wait, every second batch holds only those, which keeps their
        wait short and still lets the others proceed.

        Args:
            rows: rows of the batch, at most, unless its first unit alone has more.
            size: bytes of the batch, at most, with the same exception.
        """
        alone = bool(self._passing and self._line) and not self._passing_alone
        self._passing_alone = alone
        batch: list[Unit] = []
        left, left_bytes = rows, size
        for lane in (self._passing,) if alone else (self._passing, self._line):
            while lane:
                unit = lane[0]
                if batch and (unit.rows > left or unit.bytes > left_bytes):
                    return batch
                batch.append(lane.popleft())
                left -= unit.rows
                left_bytes -= unit.bytes
                self.rows -= unit.rows
                if lane is self._line:
                    self._leave(unit)
        return batch

    def _leave(self, unit: Unit) -> None:
        held = self._held
        for name in unit.order.holds:
            held[name] -= 1
            if not held[name]:
                del held[name]
        self._barriers -= unit.order.barrier
