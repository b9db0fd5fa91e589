"""What the engine measures of itself, kept where it changes, so that reading it costs the same whatever is under
way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.core.timing.deadlines import Deadlines

DELIVERY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
"""Seconds: upper bounds of the classes into which deliveries are counted."""


class DurationHistogram:
    """Durations counted in classes. bounds: the upper bounds of the classes in seconds, ascending; longer durations are
    in one more class.
    counts: by class. total: of all durations, in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


@dataclass(slots=True, eq=False)
class WaitingGroup:
    """A moment since which executions wait. number: of those that still do."""

    number: int
    ticket: int = 0


class WaitingExecution(Protocol):
    """An execution, as far as this file knows it."""

    waiting_group: WaitingGroup | None


class DeliveryTimes:
    """delivery: from the decision to send an execution until the server has its agent's word that the agent has it, by
    the server's monotonic
    clock; the commit before the sending included."""

    __slots__ = ("_waits", "delivery")

    def __init__(self) -> None:
        self.delivery = DurationHistogram(DELIVERY)
        self._waits: Deadlines[WaitingGroup] = Deadlines()

    def begin_wait(self, number: int, when: float) -> WaitingGroup:
        """For so many executions, at least one, that wait since `when`, in monotonic seconds; each of them keeps it as
        its `since`."""
        since = WaitingGroup(number)
        self._waits.set(since, when)
        return since

    def end_wait(self, execution: WaitingExecution) -> None:
        """The execution, which has a `since`, was sent or has ended."""
        since, execution.waiting_group = execution.waiting_group, None
        assert since is not None
        since.number -= 1
        if not since.number:
            self._waits.clear(since)

    def oldest(self) -> float | None:
        """Since when the execution waits that has waited longest, in monotonic seconds; None if none waits."""
        return self._waits.next()
