"""Events about one task, made once for all viewers: the states of its hosts, and its largest result groups."""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import orjson
import trio

from server.web.readmodel.deps import Deps
from server.web.readmodel.group_pages import first_page
from server.web.readmodel.host_states import HostStateCache
from server.web.readmodel.result_groups import ResultGroupCache, ResultGroups

K = TypeVar("K")
V = TypeVar("V")

GROUPS = 10
"""Number of groups that the page shows first."""
FRESH_S, PAUSE_FACTOR = 1.0, 200
"""Minimum seconds between two updates of the groups of a running task, and the minimum pause as a multiple of the time
that an update takes. Commands that arrive during an update wait for it, so updates must take less than a hundredth of
the time."""
FRAMES_KEPT = 256


@dataclass(slots=True)
class _Groups:
    """The encoded groups of a task, and the groups from which they were made."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    answers: ResultGroups | None = None
    data: bytes = b""
    next_at: float = 0.0


class TaskFrames:
    def __init__(self, deps: Deps, host_states: HostStateCache, answers: ResultGroupCache) -> None:
        self._deps, self._host_states, self._result_groups = deps, host_states, answers
        self._states: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._groups: OrderedDict[str, _Groups] = OrderedDict()

    def clear(self) -> None:
        """Drop everything, because there are no viewers."""
        self._states.clear()
        self._groups.clear()

    async def states(self, task_id: str, known: str) -> tuple[str, bytes]:
        """The changes of a task's host states since the ETag `known`, or all states if they are shorter or nothing is
        known.

        Returns:
            The new ETag, and the encoded event; empty if nothing has changed.

        Raises:
            ClarionError: task_not_found.
            StoreUnavailable: The database does not respond.
        """
        host_states = await self._host_states.of(task_id)
        if known == host_states.etag:
            return known, b""
        since = host_states.since(known)
        key = (task_id, host_states.generation, since, host_states.version)
        frame = self._states.get(key)
        if frame is None:
            data = b64encode(host_states.packed(since)).decode("ascii")
            frame = orjson.dumps(
                {"task_id": task_id, "etag": host_states.etag, "task_version": host_states.task.version, "data": data}
            )
            _remember(self._states, key, frame)
        return host_states.etag, frame

    async def groups(self, task_id: str) -> bytes:
        """The encoded largest groups of a task. Raises as `states`."""
        kept = self._groups.get(task_id)
        if kept is None:
            kept = _Groups()
            _remember(self._groups, task_id, kept)
        async with kept.lock:
            began = self._deps.clock.now().mono
            if kept.answers is None or began >= kept.next_at or self._ended(task_id, kept.answers):
                answers = await self._result_groups.of(task_id)
                if answers is not kept.answers:
                    page = await first_page(self._deps, answers, min(GROUPS, self._deps.limits.page_size_max))
                    kept.answers, kept.data = answers, orjson.dumps(page, default=msgspec.to_builtins)
                ended = self._deps.clock.now().mono
                kept.next_at = ended + max(FRESH_S, PAUSE_FACTOR * (ended - began))
            return kept.data

    def _ended(self, task_id: str, shown: ResultGroups) -> bool:
        """True if the task has ended since these groups were read, which must be shown at once."""
        live = self._deps.live.latest(task_id)
        return live is not None and live.task.status.final and not shown.task.status.final


def _remember(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    while len(kept) > FRAMES_KEPT:
        kept.popitem(last=False)
