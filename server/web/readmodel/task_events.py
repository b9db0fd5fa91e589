"""What all who watch one task's page are sent, made once for all of them: every host's state, and the largest groups of
answers."""

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
from server.web.readmodel.result_groups import Answers, ResultGroupCache

K = TypeVar("K")
V = TypeVar("V")

GROUPS = 10
"""As many as a page shows at first."""
FRESH_S, SHARE = 1.0, 200
"""Groups of a task that runs are put together again after this at the earliest, and after so many times as long as it
took: commands that come
meanwhile wait for it, and are to be well under one in a hundred."""
KEPT = 256


@dataclass(slots=True)
class _Groups:
    """answers: of which `data` was made."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    answers: Answers | None = None
    data: bytes = b""
    next_at: float = 0.0


class TaskFrames:
    def __init__(self, deps: Deps, cells: HostStateCache, answers: ResultGroupCache) -> None:
        self._deps, self._cells, self._answers = deps, cells, answers
        self._states: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._groups: OrderedDict[str, _Groups] = OrderedDict()

    def clear(self) -> None:
        """Nobody watches any more."""
        self._states.clear()
        self._groups.clear()

    async def states(self, task_id: str, known: str) -> tuple[str, bytes]:
        """(etag, frame) of what changed since the etag `known`, or of everything if that is shorter or nothing is
        known. No frame: nothing
        changed. Raises ClarionError task_not_found, StoreUnavailable."""
        cells = await self._cells.of(task_id)
        if known == cells.etag:
            return known, b""
        since = cells.since(known)
        key = (task_id, cells.generation, since, cells.version)
        frame = self._states.get(key)
        if frame is None:
            data = b64encode(cells.packed(since)).decode("ascii")
            frame = orjson.dumps(
                {"task_id": task_id, "etag": cells.etag, "task_version": cells.task.version, "data": data}
            )
            _keep(self._states, key, frame)
        return cells.etag, frame

    async def groups(self, task_id: str) -> bytes:
        """Raises as `states`."""
        kept = self._groups.get(task_id)
        if kept is None:
            kept = _Groups()
            _keep(self._groups, task_id, kept)
        async with kept.lock:
            began = self._deps.clock.now().mono
            if kept.answers is None or began >= kept.next_at or self._ended(task_id, kept.answers):
                answers = await self._answers.of(task_id)
                if answers is not kept.answers:
                    page = await first_page(self._deps, answers, min(GROUPS, self._deps.limits.page_size_max))
                    kept.answers, kept.data = answers, orjson.dumps(page, default=msgspec.to_builtins)
                ended = self._deps.clock.now().mono
                kept.next_at = ended + max(FRESH_S, SHARE * (ended - began))
            return kept.data

    def _ended(self, task_id: str, shown: Answers) -> bool:
        """The task has ended since: that is shown at once."""
        live = self._deps.live.latest(task_id)
        return live is not None and live.task.status.final and not shown.task.status.final


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    while len(kept) > KEPT:
        kept.popitem(last=False)
