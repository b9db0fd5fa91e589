"""Waiting and delivery times of executions. They are kept up to date, so reading them costs the same under any load."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.core.timing.deadlines import Deadlines

DELIVERY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
"""Upper bounds of the buckets into which deliveries are counted, in seconds."""


class DurationHistogram:
    """Durations counted in buckets.

    Attributes:
        bounds: Upper bounds of the buckets in seconds, ascending. Longer durations are in one more bucket.
        counts: Durations per bucket.
        total: Sum of all durations in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Create a histogram without durations."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


@dataclass(slots=True, eq=False)
class WaitingGroup:
    """Executions that wait to be sent since the same moment.

    Attributes:
        number: Executions of the group that still wait.
        ticket: Used by `Deadlines`.
    """

    number: int
    ticket: int = 0


class WaitingExecution(Protocol):
    """The part of an execution that this module uses."""

    waiting_group: WaitingGroup | None


class DeliveryTimes:
    """Measures how long executions wait to be sent and how long their delivery takes.

    Attributes:
        delivery: Times from the decision to send an execution until the server reads its acceptance, by the server's
            monotonic clock. They include the commit before the sending.
    """

    __slots__ = ("_waits", "delivery")

    def __init__(self) -> None:
        """Start without waiting executions."""
        self.delivery = DurationHistogram(DELIVERY)
        self._waits: Deadlines[WaitingGroup] = Deadlines()

    def begin_wait(self, number: int, when: float) -> WaitingGroup:
        """Start a group of waiting executions. The caller stores it as each execution's `waiting_group`.

        Args:
            number: Executions in the group, at least one.
            when: Monotonic seconds since when they wait.
        """
        since = WaitingGroup(number)
        self._waits.set(since, when)
        return since

    def end_wait(self, execution: WaitingExecution) -> None:
        """Remove an execution from its group, because it was sent or has ended."""
        since, execution.waiting_group = execution.waiting_group, None
        assert since is not None
        since.number -= 1
        if not since.number:
            self._waits.clear(since)

    def oldest(self) -> float | None:
        """Return the monotonic seconds since when the oldest waiting execution waits; None if none waits."""
        return self._waits.next()
