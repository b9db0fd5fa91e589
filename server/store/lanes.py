"""What waits to be written: one line, and beside it a passing lane for small units that have nothing to do with what
waits in the line.

Everything in the passing lane is written before anything in the line. So a unit in the line never comes before one that
was in the lane
when it came, and the order of two units that have something to do with each other is always the order in which they
came.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from server.store.units import Unit


class Lanes:
    """small: rows of a unit that may pass, at most; 0: none may."""

    def __init__(self, small: int) -> None:
        self._small = small
        self._line: deque[Unit] = deque()
        self._passing: deque[Unit] = deque()
        self._held: Counter[str] = Counter()
        self._barriers = 0
        self._passing_alone = False
        self.rows = 0
        """Of all that waits."""

    def __len__(self) -> int:
        return len(self._line) + len(self._passing)

    def __iter__(self) -> Iterator[Unit]:
        yield from self._passing
        yield from self._line

    @property
    def line(self) -> int:
        """How many wait in the line."""
        return len(self._line)

    @property
    def first(self) -> Unit:
        """The next to be written."""
        return self._passing[0] if self._passing else self._line[0]

    @property
    def oldest(self) -> float:
        """When the one came that has waited longest."""
        return min(lane[0].since for lane in (self._passing, self._line) if lane)

    def add(self, unit: Unit) -> bool:
        """Whether it passes others that wait."""
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
        """The next ones, with at most so many rows and bytes in all unless the first alone has more.

        Those in the passing lane come first: while others wait every second time alone, so that they wait for as little
        as possible, and
        the others go on whatever comes.
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
