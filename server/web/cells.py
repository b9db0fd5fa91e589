"""The state of every host of a task in a byte each, for a map that stays small at ten thousand hosts.

A byte holds the number of the execution's status in its low four bits, and 16 if its host is away. The bytes stand in the order of the
task's frozen list. They are read from the store, so they are committed, at most so often, however many look; who has a version gets
what changed since, if that is shorter.
"""

from __future__ import annotations

import struct
from array import array
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import orjson
import trio

from server.core.model import Task
from server.web.deps import Deps
from server.web.lookup import command_of, committed_task
from server.web.views_answers import CellsView

UNREACHABLE = 16
FRESH_S, SHARE = 0.4, 20
"""States are read again after this at the earliest, and after so many times as long as reading took."""
LISTED_S = 1.0
"""Who a task's hosts are is put together once for all who ask within this time."""
HEAD = struct.Struct("<4sBBHIQ")
"""Magic, 0 for all states or 1 for changes, three bytes of nothing, number of hosts, version. Little-endian."""
MAGIC = b"CLST"


@dataclass(slots=True)
class Cells:
    """changed: for each host the version with which it changed last. lines: as read last."""

    task: Task
    host_ids: tuple[str, ...]
    places: dict[str, int]
    states: bytearray
    changed: array[int]
    generation: str
    version: int = 1
    lines: set[str] = field(default_factory=set)

    def take(self, lines: Iterable[str]) -> None:
        """What the store reads as states. Only what differs from the reading before is looked at: of ten thousand, few."""
        found = set(lines)
        version = self.version + 1
        for line in found - self.lines:
            state, place = int(line[0]) | (UNREACHABLE if line[2] == "1" else 0), self.places.get(line[4:])
            if place is not None and self.states[place] != state:
                self.states[place], self.changed[place], self.version = state, version, version
        self.lines = found

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
    listed: bytes = b""
    listed_at: float = -LISTED_S


class CellBook:
    """Of the last `answers_kept` tasks that were looked at."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, task_id: str) -> Cells:
        """Raises ClarionError task_not_found."""
        return (await self._read(task_id))[1]

    async def _read(self, task_id: str) -> tuple[_Kept, Cells]:
        """What is kept may be forgotten while it is read, if so many other tasks are looked at."""
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
                return kept, cells
            command = await command_of(self._deps, task_id)
            cells.take(await self._deps.store.states(command.command_id))
            # What was committed between the look at the task and this reading is in the states already; reading it again does no harm.
            cells.task, kept.cells = task, cells
            ended = self._deps.clock.now().mono
            kept.next_read = ended + max(FRESH_S, SHARE * (ended - began))
        return kept, cells

    async def listed(self, task_id: str) -> bytes:
        """A CellsView, as JSON. Raises ClarionError task_not_found."""
        kept, cells = await self._read(task_id)
        now = self._deps.clock.now().mono
        if now - kept.listed_at >= LISTED_S:
            hosts = self._deps.fleet.directory.hosts
            names = [hosts[host_id].hostname if host_id in hosts else host_id for host_id in cells.host_ids]
            ids = b64encode(bytes.fromhex("".join(cells.host_ids).replace("-", ""))).decode("ascii")
            kept.listed = orjson.dumps(CellsView(task_id=task_id, total=len(names), names=names, ids=ids), default=msgspec.to_builtins)
            kept.listed_at = now
        return kept.listed

    @staticmethod
    def _stale(kept: _Kept, cells: Cells, task: Task, now: float) -> bool:
        """A task that has ended is read once more at once, then never again."""
        if cells.task.status.final:
            return False
        return task.status.final or (cells.task.version != task.version and now >= kept.next_read)
