"""Prints the results of a task while its hosts end, in each output format.

With up to FEW hosts, each result is printed to standard output as the host ends; equal results that end together are
printed once. With more hosts, each new result is printed in short to standard error, and all results are printed to
standard output at the end, the largest group first.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, Protocol

from server.cli.client.api import Api, Json, segment
from server.cli.client.outputs import Outputs
from server.cli.client.reconnect import retry_while_down
from server.cli.follow.executions import EndedExecutions
from server.cli.render import lists, result_groups
from server.cli.render.exit_codes import FINAL, ended
from server.cli.render.report import GROUPS, print_document, print_groups, summarize, with_outputs
from server.cli.render.similar import group_equal, key_of
from server.cli.render.text import count, one_line
from server.cli.standard_streams import say

FEW = 20
"""Maximum number of hosts whose results are printed one by one."""
FIRST, SLOWEST = 2.0, 30.0
"""Seconds until the first request for the results of many hosts, and the maximum between two requests; the pause
doubles each time."""
SETTLE = 0.2
"""Seconds to wait for more hosts after one has ended, so that hosts that end together are shown together."""
SHORT = 10
"""Maximum lines of each stream that are shown while many hosts run."""


class PartialPrinter(Protocol):
    """Prints results of a task that goes on after the CLI ends."""

    def leave(self, task: Json) -> None:
        """Print the results that have arrived."""


class ResultPrinter(PartialPrinter, Protocol):
    def look(self, progress: Json, aside: AbstractContextManager[None]) -> float | None:
        """Print new results.

        Returns:
            Seconds after which to call it again although no host has ended; None if that is not needed.
        """

    def finish(self, task: Json) -> None:
        """Print the remaining results of a task that has ended."""


def result_printer(api: Api, task: Json, form: str, *, quiet: bool) -> ResultPrinter:
    if form == "jsonl":
        return _Lines(api, task)
    if form != "human":
        return _Document(api, task, form)
    if int(task["total_hosts"]) <= FEW:
        return _Hosts(api, task, quiet)
    return _Groups(api, task, quiet)


class _Document:
    """Prints one document at the end."""

    def __init__(self, api: Api, task: Json, form: str) -> None:
        self._api, self._form = api, form

    def look(self, progress: Json, aside: AbstractContextManager[None]) -> float | None:
        return None

    def finish(self, task: Json) -> None:
        print_document(self._api, task, self._form)

    leave = finish


class _Rows(ABC):
    """Prints each execution as it ends. `pending` holds those that have ended and are not printed yet."""

    def __init__(self, api: Api, task: Json) -> None:
        self.task_id = str(task["task_id"])
        self.rows, self.outputs = EndedExecutions(api, self.task_id), Outputs(api, self.task_id)
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
        """Print the pending executions and remove each once it is printed, so that a failure repeats only the rest."""

    def finish(self, task: Json) -> None:
        retry_while_down(self._rest, None, self.task_id)

    def leave(self, task: Json) -> None:
        self._rest()

    def _rest(self) -> None:
        self.pending += self.rows.look()
        self.show()


class _Lines(_Rows):
    """Prints one JSON object per host."""

    def show(self) -> None:
        while self.pending:
            line = with_outputs(self.pending[0], self.outputs)
            lists.json_line(line)
            del self.pending[0]


class _Hosts(_Rows):
    """Prints results of few hosts as text."""

    def __init__(self, api: Api, task: Json, quiet: bool) -> None:
        super().__init__(api, task)
        self._quiet, self._twins = quiet, result_groups.LookAlikes()
        self._shown: dict[str, str] = {}

    def show(self) -> None:
        for same in group_equal(self.pending):
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
    """Prints results of many hosts as text, in groups."""

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
        print_groups(self._api, self._task_id, self._quiet)
        if not self._quiet:
            summarize(task)

    def leave(self, task: Json) -> None:
        print_groups(self._api, self._task_id, self._quiet)


def still_open(task: Json) -> str:
    """Return text such as `2 of 5 hosts have not ended`."""
    open_hosts = int(task["total_hosts"]) - ended(task)
    return (
        f"{open_hosts:,} of {count(int(task['total_hosts']), 'host')} "
        f"{'has' if int(task['total_hosts']) == 1 else 'have'} not ended"
    )
