"""The committed progress of tasks, in memory, for event streams and long polls.

The conductor publishes progress after its commit, so a crash cannot undo what is shown. Finished tasks are kept for a
short time; then the store answers for them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

import trio

from server.core.effects import Progress, Save
from server.core.model import Task
from server.core.states import ExecutionStatus
from server.ports import Clock
from server.web.readmodel.commit_feed import CommitFeed

WINDOW_S = 15.0
"""Seconds over which the rate is measured."""
SPACING_S = 0.5
FORGOTTEN_KEPT = 200
"""Number of deleted tasks that are remembered."""
RAN_TO_END = (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT)
SAMPLES = int(WINDOW_S / SPACING_S) + 2


class _Entry:
    __slots__ = ("change", "final_at", "progress", "samples")

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.final_at: float | None = None
        self.change = 0
        self.samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)


def done(task: Task) -> int:
    """Executions that have ended, with any status."""
    return task.completed_hosts + task.failed_hosts


def ran_to_end(task: Task) -> int:
    """Executions that ran and ended by themselves or by their timeout.

    The rate counts only these. Executions that were canceled, or whose host was offline, end at once and say nothing
    about the duration of the others.
    """
    return sum(task.counts[status] for status in RAN_TO_END)


class LiveProgress:
    """The committed progress of tasks.

    Each watched task has one trio.Event that wakes all its watchers.

    Args:
        clock: The clock.
        keep_final: Seconds for which a finished task is kept.
        max_tasks: Maximum number of tasks. Finished tasks are dropped first, then those that changed longest ago.
    """

    def __init__(self, clock: Clock, *, keep_final: float = 60.0, max_tasks: int = 10_000) -> None:
        self._clock = clock
        self.ended: list[int] = [0] * len(ExecutionStatus)
        """Number of executions that have ended since this server started, by status number."""
        self._keep_final, self._max_tasks = keep_final, max_tasks
        self._open: OrderedDict[str, _Entry] = OrderedDict()
        self._final: OrderedDict[str, _Entry] = OrderedDict()
        self._changed: dict[str, trio.Event] = {}
        self._any: trio.Event | None = None
        self.changes = 0
        """Number of the last change of any task. It starts at 0 with the server."""
        self._forgotten: deque[tuple[int, str]] = deque(maxlen=FORGOTTEN_KEPT)
        self._oldest_missing = 0
        """Number of the last change that is no longer kept."""
        self._closed = False
        self.commit_feed = CommitFeed()

    def committed(self, saves: Sequence[Save]) -> None:
        self.commit_feed.committed(saves)

    def publish(self, progress: Progress) -> None:
        """Publish a task's progress. An older version than the current one is ignored."""
        task = progress.task
        now = self._clock.now().mono
        entry = self._open.pop(task.task_id, None) or self._final.pop(task.task_id, None)
        if entry is None:
            entry = _Entry(progress)
        elif entry.progress.task.version <= task.version:
            self._count(entry.progress.task, task)
            entry.progress = progress
        if not entry.samples or now - entry.samples[-1][0] >= SPACING_S:
            entry.samples.append((now, ran_to_end(entry.progress.task)))
        self.changes += 1
        entry.change = self.changes
        if entry.progress.task.status.final:
            entry.final_at = entry.final_at if entry.final_at is not None else now
            self._final[task.task_id] = entry
        else:
            self._open[task.task_id] = entry
        self._drop(now)
        self._wake(task.task_id)

    def forget(self, task_id: str) -> None:
        """Forget a deleted task and wake its watchers."""
        self._open.pop(task_id, None)
        self._final.pop(task_id, None)
        self.changes += 1
        if len(self._forgotten) == FORGOTTEN_KEPT:
            self._oldest_missing = self._forgotten[0][0]
        self._forgotten.append((self.changes, task_id))
        self._wake(task_id)

    def changed_since(self, change: int, most: int) -> tuple[list[Task], list[str], bool]:
        """The changes after a change number.

        Returns:
            Tasks that have changed, the last changed first and at most `most`; ids of tasks that were deleted; and
            True if these are all changes.
        """
        found: list[Task] = []
        complete = change >= self._oldest_missing
        for entries in (self._open, self._final):
            for entry in reversed(entries.values()):
                if entry.change <= change:
                    break
                if len(found) == most:
                    complete = False
                    break
                found.append(entry.progress.task)
        return found, [task_id for number, task_id in self._forgotten if number > change], complete

    def latest(self, task_id: str) -> Progress | None:
        """The progress that was last published; None if the store must be asked."""
        self._drop(self._clock.now().mono)
        entry = self._open.get(task_id) or self._final.get(task_id)
        return entry.progress if entry else None

    def rate(self, task_id: str) -> float | None:
        """Executions per second that ran to their end, over the last WINDOW_S. None if it is unknown. It falls while no
        execution ends."""
        entry = self._open.get(task_id)
        if entry is None:
            return None
        now = self._clock.now().mono
        while len(entry.samples) > 1 and now - entry.samples[0][0] > WINDOW_S:
            entry.samples.popleft()
        since, before = entry.samples[0]
        elapsed = now - since
        return (ran_to_end(entry.progress.task) - before) / elapsed if elapsed > 0 else None

    async def wait_change(self, task_id: str, since_version: int) -> None:
        """Return when a version other than `since_version` is available, the task is deleted, or `close` is called.

        Has no time limit; use a cancel scope.
        """
        while not self._closed:
            shown = self.latest(task_id)
            if shown is not None and shown.task.version != since_version:
                return
            event = self._changed.setdefault(task_id, trio.Event())
            try:
                await event.wait()
            finally:
                if self._changed.get(task_id) is event and event.statistics().tasks_waiting == 0:
                    del self._changed[task_id]
            if self.latest(task_id) is None:
                return

    async def wait_any(self, change: int) -> None:
        """Return when `changes` differs from `change`, or `close` is called. Has no time limit."""
        while not self._closed and self.changes == change:
            if self._any is None:
                self._any = trio.Event()
            await self._any.wait()

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End all waits, now and later, because the server stops."""
        self._closed = True
        for task_id in list(self._changed):
            self._wake(task_id)
        self._wake_any()

    def _count(self, old: Task, new: Task) -> None:
        for status in ExecutionStatus:
            if status.final:
                self.ended[status] += new.counts[status] - old.counts[status]

    def _wake(self, task_id: str) -> None:
        event = self._changed.pop(task_id, None)
        if event is not None:
            event.set()
        self._wake_any()

    def _wake_any(self) -> None:
        if self._any is not None:
            self._any.set()
            self._any = None

    def _drop(self, now: float) -> None:
        while self._final:
            task_id, entry = next(iter(self._final.items()))
            assert entry.final_at is not None
            if now - entry.final_at <= self._keep_final and len(self._final) + len(self._open) <= self._max_tasks:
                break
            del self._final[task_id]
            self._oldest_missing = max(self._oldest_missing, entry.change)
        while len(self._open) > self._max_tasks:
            self._oldest_missing = max(self._oldest_missing, self._open.popitem(last=False)[1].change)
