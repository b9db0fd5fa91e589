"""Live: the committed progress of tasks, held in memory for whoever watches.

Only what the conductor publishes after its commit comes in here, so nothing is shown that a crash could undo. Finished
tasks are
kept for a short time, then the store answers for them.
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
"""The rate is that of the last so many seconds."""
SPACING_S = 0.5
GONE = 200
"""Tasks remembered as forgotten."""
ANSWERED = (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT)
SAMPLES = int(WINDOW_S / SPACING_S) + 2


class _Entry:
    __slots__ = ("change", "final_at", "progress", "samples")

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.final_at: float | None = None
        self.change = 0
        self.samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)


def done(task: Task) -> int:
    """Executions that have ended, however they did."""
    return task.completed_hosts + task.failed_hosts


def answered(task: Task) -> int:
    """Executions that ran to an end of their own. A rate counts these alone: canceled ones, and hosts that were
    offline, end in an
    instant and say nothing about how long the others take."""
    return sum(task.counts[status] for status in ANSWERED)


class Live:
    """keep_final: seconds a finished task stays. max_tasks: finished ones leave first, then those that changed longest
    ago.

    One trio.Event per watched task wakes all its watchers; a task that nobody watches has none.
    """

    def __init__(self, clock: Clock, *, keep_final: float = 60.0, max_tasks: int = 10_000) -> None:
        self._clock = clock
        self.ended: list[int] = [0] * len(ExecutionStatus)
        """Executions that were seen to end since this server started, by status number."""
        self._keep_final, self._max_tasks = keep_final, max_tasks
        self._open: OrderedDict[str, _Entry] = OrderedDict()
        self._final: OrderedDict[str, _Entry] = OrderedDict()
        self._changed: dict[str, trio.Event] = {}
        self._any: trio.Event | None = None
        self.changes = 0
        """The number of the last change of any task. It begins anew with the server."""
        self._gone: deque[tuple[int, str]] = deque(maxlen=GONE)
        self._lost = 0
        """The number of the last change that is not kept any more."""
        self._closed = False
        self.followed = CommitFeed()

    def committed(self, saves: Sequence[Save]) -> None:
        self.followed.committed(saves)

    def publish(self, progress: Progress) -> None:
        """Show this from now on. An older version than the one shown is dropped."""
        task = progress.task
        now = self._clock.now().mono
        entry = self._open.pop(task.task_id, None) or self._final.pop(task.task_id, None)
        if entry is None:
            entry = _Entry(progress)
        elif entry.progress.task.version <= task.version:
            self._count(entry.progress.task, task)
            entry.progress = progress
        if not entry.samples or now - entry.samples[-1][0] >= SPACING_S:
            entry.samples.append((now, answered(entry.progress.task)))
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
        """The task is gone: its watchers are woken and will not find it."""
        self._open.pop(task_id, None)
        self._final.pop(task_id, None)
        self.changes += 1
        if len(self._gone) == GONE:
            self._lost = self._gone[0][0]
        self._gone.append((self.changes, task_id))
        self._wake(task_id)

    def changed_since(self, change: int, most: int) -> tuple[list[Task], list[str], bool]:
        """Tasks that changed after that change, the last changed first, those forgotten since, and whether that is all
        of them."""
        found: list[Task] = []
        complete = change >= self._lost
        for entries in (self._open, self._final):
            for entry in reversed(entries.values()):
                if entry.change <= change:
                    break
                if len(found) == most:
                    complete = False
                    break
                found.append(entry.progress.task)
        return found, [task_id for number, task_id in self._gone if number > change], complete

    def latest(self, task_id: str) -> Progress | None:
        """What was last published, or None: ask the store."""
        self._drop(self._clock.now().mono)
        entry = self._open.get(task_id) or self._final.get(task_id)
        return entry.progress if entry else None

    def rate(self, task_id: str) -> float | None:
        """Executions that ran to an end of their own per second, over the last WINDOW_S; None when nothing is known
        yet. It falls while nothing ends."""
        entry = self._open.get(task_id)
        if entry is None:
            return None
        now = self._clock.now().mono
        while len(entry.samples) > 1 and now - entry.samples[0][0] > WINDOW_S:
            entry.samples.popleft()
        since, before = entry.samples[0]
        elapsed = now - since
        return (answered(entry.progress.task) - before) / elapsed if elapsed > 0 else None

    async def wait_change(self, task_id: str, since_version: int) -> None:
        """Return once a version other than `since_version` may be had, the task is forgotten, or `close` was called.

        Has no limit in time: put it under a cancel scope.
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
        """Return once `changes` differs from `change`, or `close` was called. Has no limit in time."""
        while not self._closed and self.changes == change:
            if self._any is None:
                self._any = trio.Event()
            await self._any.wait()

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """The server stops: all waiting ends now, and later waiting ends at once."""
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
            self._lost = max(self._lost, entry.change)
        while len(self._open) > self._max_tasks:
            self._lost = max(self._lost, self._open.popitem(last=False)[1].change)
