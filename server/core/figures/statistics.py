"""How many tasks and executions there are in each status, over everything stored, without counting rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.core.model import Task
from server.core.states import ExecutionStatus, TaskStatus


@dataclass(frozen=True, slots=True)
class Statistics:
    """Both tuples are indexed by status number."""

    tasks: tuple[int, ...]
    executions: tuple[int, ...]


class StatusCounts:
    """Keeps the counts: loaded once, then told of each task that comes, changes status, ends or goes.

    Executions of tasks that are still open are the tally's business; `settled` covers the others.
    """

    __slots__ = ("_settled", "_tasks")

    def __init__(self) -> None:
        self._tasks = [0] * len(TaskStatus)
        self._settled = [0] * len(ExecutionStatus)

    def load(self, tasks: Mapping[TaskStatus, int], executions: Mapping[ExecutionStatus, int]) -> None:
        """Counts over the whole store. Call before any open task is loaded."""
        for status, number in tasks.items():
            self._tasks[status] = number
        for row_status, number in executions.items():
            self._settled[row_status] = number

    def reopened(self, task: Task) -> None:
        """An open task was loaded: its executions are now counted by the tally."""
        self._add(task.counts, -1)

    def created(self, task: Task) -> None:
        self._tasks[task.status] += 1

    def moved(self, old: TaskStatus, new: TaskStatus) -> None:
        self._tasks[old] -= 1
        self._tasks[new] += 1

    def settled(self, task: Task) -> None:
        """The task is final: its executions leave the tally."""
        self._add(task.counts, 1)

    def deleted(self, task: Task, *, was_open: bool) -> None:
        self._tasks[task.status] -= 1
        if not was_open:
            self._add(task.counts, -1)

    def statistics(self, open_executions: Sequence[int]) -> Statistics:
        """open_executions: the tally's totals."""
        return Statistics(tuple(self._tasks), tuple(a + b for a, b in zip(self._settled, open_executions, strict=True)))

    def _add(self, counts: Sequence[int], sign: int) -> None:
        for index, number in enumerate(counts):
            self._settled[index] += sign * number
