"""The results of a task while its hosts end, in each form of answer: nothing is held back until the last host has
ended.

Up to FEW hosts: each one's answer on standard output as it ends, those that end together and say the same as one. More
hosts: on standard
error each new answer, shortened, and at the end all answers on standard output, the largest group first.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, Protocol

from server.cli.client.api import Api, Json, segment
from server.cli.client.outputs import Outputs
from server.cli.client.reconnect import patient
from server.cli.follow.executions import Rows
from server.cli.render import lists, result_groups
from server.cli.render.exit_codes import FINAL, ended
from server.cli.render.report import GROUPS, summarize, tell, tell_groups, with_outputs
from server.cli.render.similar import alike, key_of
from server.cli.render.text import count, one_line
from server.cli.standard_streams import say

FEW = 20
"""Hosts whose answers are shown one by one."""
FIRST, SLOWEST = 2.0, 30.0
"""Seconds until the answers of many hosts are looked at first, and the longest time between two looks; it doubles with
each."""
SETTLE = 0.2
"""Seconds for which the ends of more hosts are waited for when one has ended, so that those that end together are shown
together."""
SHORT = 10
"""Lines of each output that are shown of many hosts while they run."""


class Shown(Protocol):
    def leave(self, task: Json) -> None:
        """Show what there is of a task that goes on without us."""


class Coming(Shown, Protocol):
    def look(self, progress: Json, aside: AbstractContextManager[None]) -> float | None:
        """Show what is new. Returns the seconds after which there is more to show although no host ends; None if there
        is not."""

    def finish(self, task: Json) -> None:
        """Show the rest of a task that has ended."""


def coming(api: Api, task: Json, form: str, *, quiet: bool) -> Coming:
    if form == "jsonl":
        return _Lines(api, task)
    if form != "human":
        return _Document(api, task, form)
    if int(task["total_hosts"]) <= FEW:
        return _Hosts(api, task, quiet)
    return _Groups(api, task, quiet)


class _Document:
    """One document, at the end."""

    def __init__(self, api: Api, task: Json, form: str) -> None:
        self._api, self._form = api, form

    def look(self, progress: Json, aside: AbstractContextManager[None]) -> float | None:
        return None

    def finish(self, task: Json) -> None:
        tell(self._api, task, self._form)

    leave = finish


class _Rows(ABC):
    """Each execution as it ends. pending: those that have ended and are not shown yet."""

    def __init__(self, api: Api, task: Json) -> None:
        self.task_id = str(task["task_id"])
        self.rows, self.outputs = Rows(api, self.task_id), Outputs(api, self.task_id)
        self.pending: list[Json] = []
        self._seen, self._settled_at = 0, 0.0

    def look(self, progress: Json, aside: AbstractContextManager[None]) -> float | None:
        now_ended = ended(progress)
        if (now_ended == self._seen and not self.pending) or progress["status"] in FINAL:
            return None
        now = time.monotonic()
        self._settled_at = self._settled_at or now + SETTLE
        if (left := max(self.rows.due_in, self._settled_at - now)) > 0:
            return left
        self._settled_at = 0.0
        self.pending += self.rows.look()
        self._seen = now_ended
        if self.pending:
            with aside:
                self.show()
        return None

    @abstractmethod
    def show(self) -> None:
        """Takes each away from `pending` once it is shown: a server that breaks off in between is asked again for the
        rest only."""

    def finish(self, task: Json) -> None:
        patient(self._rest, None, self.task_id)

    def leave(self, task: Json) -> None:
        self._rest()

    def _rest(self) -> None:
        self.pending += self.rows.look()
        self.show()


class _Lines(_Rows):
    """One JSON object per host."""

    def show(self) -> None:
        while self.pending:
            line = with_outputs(self.pending[0], self.outputs)
            lists.json_line(line)
            del self.pending[0]


class _Hosts(_Rows):
    """For people, of few hosts."""

    def __init__(self, api: Api, task: Json, quiet: bool) -> None:
        super().__init__(api, task)
        self._quiet, self._twins = quiet, result_groups.Twins()
        self._shown: dict[str, str] = {}

    def show(self) -> None:
        for same in alike(self.pending):
            key = key_of(same[0])
            result_groups.show_rows(same, self.outputs, self._twins, again=self._shown.get(key))
            self._shown.setdefault(key, one_line(str(same[0]["hostname"])))
            self.pending = [row for row in self.pending if row not in same]

    def finish(self, task: Json) -> None:
        super().finish(task)
        if not self._quiet:
            if len(self._shown) > 1:
                say(
                    (
                        f"{count(len(self._shown), 'group')} of answers; compare them with 'clarion tasks diff "
                        f"{self.task_id}'"
                    ),
                    err=True,
                )
            summarize(task)


class _Groups:
    """For people, of many hosts."""

    def __init__(self, api: Api, task: Json, quiet: bool) -> None:
        self._api, self._task_id, self._quiet = api, str(task["task_id"]), quiet
        self._numbers: set[int] = set()
        self._pause = FIRST
        self._due = time.monotonic() + FIRST

    def look(self, progress: Json, aside: AbstractContextManager[None]) -> float | None:
        if self._quiet or len(self._numbers) >= GROUPS or progress["status"] in FINAL or not ended(progress):
            return None
        if (left := self._due - time.monotonic()) > 0:
            return left
        page: dict[str, Any] = self._api.get(f"tasks/{segment(self._task_id)}/groups", {"limit": GROUPS})
        new = [group for group in page["items"] if group["number"] not in self._numbers][: GROUPS - len(self._numbers)]
        self._numbers.update(group["number"] for group in new)
        self._due, self._pause = time.monotonic() + self._pause, min(2 * self._pause, SLOWEST)
        if new:
            with aside:
                for group in new:
                    result_groups.show(group, None, number=False, lines=SHORT, err=True, so_far=True)
        return None

    def finish(self, task: Json) -> None:
        tell_groups(self._api, self._task_id, self._quiet)
        if not self._quiet:
            summarize(task)

    def leave(self, task: Json) -> None:
        tell_groups(self._api, self._task_id, self._quiet)


def still_open(task: Json) -> str:
    """`2 of 5 hosts have not ended`."""
    open_hosts = int(task["total_hosts"]) - ended(task)
    return (
        f"{open_hosts:,} of {count(int(task['total_hosts']), 'host')} "
        f"{'has' if int(task['total_hosts']) == 1 else 'have'} not ended"
    )
