"""The state of every host of a task in a byte each, for a map that stays small at ten thousand hosts.

A byte holds the number of the execution's status in its low four bits, and 16 if its host is away. The bytes stand in the order of the
task's frozen list. They are read from the store, so they are committed, at most so often, however many look; who has a version gets
what changed since, if that is shorter.
"""

from __future__ import annotations

import struct
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from server.core.model import Task
from server.web.deps import Deps
from server.web.lookup import command_of, committed_task

UNREACHABLE = 16
FRESH_S, SHARE = 0.4, 20
"""States are read again after this at the earliest, and after so many times as long as reading took."""
HEAD = struct.Struct("<4sBBHIQ")
"""Magic, 0 for all states or 1 for changes, three bytes of nothing, number of hosts, version. Little-endian."""
MAGIC = b"CLST"


@dataclass(slots=True)
class Cells:
    """changed: for each host the version with which it changed last."""

    task: Task
    host_ids: tuple[str, ...]
    places: dict[str, int]
    states: bytearray
    changed: array[int]
    generation: str
    version: int = 1

    def take(self, rows: Sequence[tuple[str, int, bool]]) -> None:
        """(host_id, status, unreachable) of every row, as read."""
        states = bytearray(self.states)
        for host_id, status, unreachable in rows:
            place = self.places.get(host_id)
            if place is not None:
                states[place] = status | UNREACHABLE if unreachable else status
        if states == self.states:
            return
        self.version += 1
        for place, (old, new) in enumerate(zip(self.states, states, strict=True)):
            if old != new:
                self.changed[place] = self.version
        self.states = states

    @property
    def etag(self) -> str:
        return f"{self.generation}.{self.version}"

    def since(self, etag: str) -> int:
        """The version that an etag of ours names; 0 for any other."""
        generation, _, version = etag.partition(".")
        return int(version) if generation == self.generation and version.isascii() and version.isdigit() and len(version) < 16 else 0

    def packed(self, since: int) -> bytes:
        """All states, or what changed after version `since`: for each host `place << 8 | state` in four bytes. Whichever is shorter."""
        total = len(self.states)
        if 0 < since <= self.version:
            places = [place for place, version in enumerate(self.changed) if version > since] if since < self.version else []
            if 4 * len(places) < total:
                changes = struct.pack(f"<{len(places)}I", *(place << 8 | self.states[place] for place in places))
                return HEAD.pack(MAGIC, 1, 0, 0, total, self.version) + changes
        return HEAD.pack(MAGIC, 0, 0, 0, total, self.version) + self.states


@dataclass(slots=True)
class _Kept:
    lock: trio.Lock = field(default_factory=trio.Lock)
    cells: Cells | None = None
    next_read: float = 0.0


class CellBook:
    """Of the last `answers_kept` tasks that were looked at."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, task_id: str) -> Cells:
        """Raises ClarionError task_not_found."""
        task = await committed_task(self._deps, task_id)
        kept = self._kept.setdefault(task_id, _Kept())
        self._kept.move_to_end(task_id)
        while len(self._kept) > self._deps.limits.answers_kept:
            self._kept.popitem(last=False)
        async with kept.lock:
            cells, began = kept.cells, self._deps.clock.now().mono
            if cells is None:
                host_ids = await self._deps.store.targets(task_id)
                places = {host_id: place for place, host_id in enumerate(host_ids)}
                size = len(host_ids)
                cells = Cells(task, host_ids, places, bytearray(size), array("Q", [1]) * size, self._deps.entropy(4).hex())
            elif not self._stale(kept, cells, task, began):
                return cells
            command = await command_of(self._deps, task_id)
            cells.take(await self._deps.store.states(command.command_id))
            # What was committed between the look at the task and this reading is in the states already; reading it again does no harm.
            cells.task, kept.cells = task, cells
            ended = self._deps.clock.now().mono
            kept.next_read = ended + max(FRESH_S, SHARE * (ended - began))
        return cells

    @staticmethod
    def _stale(kept: _Kept, cells: Cells, task: Task, now: float) -> bool:
        """A task that has ended is read once more at once, then never again."""
        if cells.task.status.final:
            return False
        return task.status.final or (cells.task.version != task.version and now >= kept.next_read)
