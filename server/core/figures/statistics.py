"""Counts of tasks and executions per status over the whole store, kept without counting rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.core.model import Task
from server.core.states import ExecutionStatus, TaskStatus


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts per status. Both tuples are indexed by status number."""

    tasks: tuple[int, ...]
    executions: tuple[int, ...]


class StatusCounts:
    """Keeps the counts: loads them once and follows every change of a task.

    The tally counts executions of open tasks; this class counts the others.
    """

    __slots__ = ("_settled", "_tasks")

    def __init__(self) -> None:
        """Start with an empty store."""
        self._tasks = [0] * len(TaskStatus)
        self._settled = [0] * len(ExecutionStatus)

    def load(self, tasks: Mapping[TaskStatus, int], executions: Mapping[ExecutionStatus, int]) -> None:
        """Set the counts over the whole store. Call it before any open task is loaded."""
        for status, number in tasks.items():
            self._tasks[status] = number
        for row_status, number in executions.items():
            self._settled[row_status] = number

    def reopened(self, task: Task) -> None:
        """Count an open task that was loaded: from now on the tally counts its executions."""
        self._add(task.counts, -1)

    def created(self, task: Task) -> None:
        """Count a new task."""
        self._tasks[task.status] += 1

    def moved(self, old: TaskStatus, new: TaskStatus) -> None:
        """Count a task's change of status."""
        self._tasks[old] -= 1
        self._tasks[new] += 1

    def settled(self, task: Task) -> None:
        """Count the executions of a task that has become final, because they leave the tally."""
        self._add(task.counts, 1)

    def deleted(self, task: Task, *, was_open: bool) -> None:
        """Stop counting a task that was deleted.

        Args:
            task: The task.
            was_open: The tally still counted its executions.
        """
        self._tasks[task.status] -= 1
        if not was_open:
            self._add(task.counts, -1)

    def statistics(self, open_executions: Sequence[int]) -> Statistics:
        """Return the counts.

        Args:
            open_executions: The tally's totals per status.
        """
        return Statistics(tuple(self._tasks), tuple(a + b for a, b in zip(self._settled, open_executions, strict=True)))

    def _add(self, counts: Sequence[int], sign: int) -> None:
        for index, number in enumerate(counts):
            self._settled[index] += sign * number
