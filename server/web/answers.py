"""The answers of tasks, read from the store once per change of the task, however many look at them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from server.core.answers import Answer, numbered
from server.core.model import Task
from server.web.deps import Deps
from server.web.lookup import command_of, committed_task

KEPT = 8
"""Tasks whose answers are held in memory: about 1 MB each with 10,000 hosts."""
FRESH_S = 1.0
"""Answers of a task that has not ended are read again after this at the earliest."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one task, as committed. `groups`: those that have ended, by number; `open`: the others."""

    task: Task
    groups: Sequence[Answer]
    open: Sequence[Answer]

    @property
    def all(self) -> list[Answer]:
        return [*self.groups, *self.open]


@dataclass(slots=True)
class _Kept:
    lock: trio.Lock = field(default_factory=trio.Lock)
    answers: Answers | None = None
    read_at: float = 0.0


class AnswerBook:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, task_id: str) -> Answers:
        """Raises ClarionError task_not_found."""
        task = await committed_task(self._deps, task_id)
        kept = self._kept.setdefault(task_id, _Kept())
        self._kept.move_to_end(task_id)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        async with kept.lock:
            if kept.answers is None or not self._good(kept, kept.answers, task):
                started = self._deps.clock.now().mono
                command = await command_of(self._deps, task_id)
                found = numbered(await self._deps.store.answers(command.command_id))
                groups = [one for one in found if one.status.final]
                kept.answers, kept.read_at = Answers(task, groups, found[len(groups) :]), started
        return kept.answers

    def _good(self, kept: _Kept, answers: Answers, task: Task) -> bool:
        if answers.task.version >= task.version:
            return True
        return not task.status.final and self._deps.clock.now().mono - kept.read_at < FRESH_S
