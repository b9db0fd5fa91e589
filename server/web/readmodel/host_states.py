"""The state of every host of a task in a byte each, for a map that stays small at ten thousand hosts.

A byte holds the number of the execution's status in its low four bits, and 16 if its host is away. The bytes stand in
the order of the
task's frozen list. They are read from the store when somebody looks at first, then kept up to date by what is
committed, and read once more
when the task has ended; who has a version gets what changed since, if that is shorter.
"""

from __future__ import annotations

import struct
from array import array
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field

import msgspec
import orjson
import trio

from server.core.model import Execution, Task
from server.web.readmodel.commit_feed import Subscription
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import command_of, committed_task
from server.web.schemas.results import CellsView

UNREACHABLE = 16
FRESH_S = 0.4
"""What has changed becomes a new version after this at the earliest, so that those who look at different moments see
the same few versions."""
LISTED_S = 1.0
"""Who a task's hosts are is put together once for all who ask within this time."""
HEAD = struct.Struct("<4sBBHIQ")
"""Magic, 0 for all states or 1 for changes, three bytes of nothing, number of hosts, version. Little-endian."""
MAGIC = b"CLST"


@dataclass(slots=True)
class HostStateSnapshot:
    """changed: for each host the version with which it changed last. news: place → state, committed since this
    version."""

    task: Task
    command_id: str
    host_ids: tuple[str, ...]
    places: dict[str, int]
    states: bytearray
    changed: array[int]
    generation: str
    version: int = 1
    news: dict[int, int] = field(default_factory=dict)

    def take(self, lines: Iterable[str]) -> None:
        """What the store reads as states: of everybody. What has been told since the reading began is not older."""
        read = {
            place: _packed(int(line[0]), line[2] == "1")
            for line in lines
            if (place := self.places.get(line[4:])) is not None
        }
        self.news = read | self.news
        self.settle()

    def note(self, row: Execution) -> None:
        """This has been committed."""
        if (place := self.places.get(row.host_id)) is not None:
            self.news[place] = _packed(row.status, row.unreachable)

    def settle(self) -> None:
        """Make one new version of what has changed."""
        version = self.version + 1
        for place, state in self.news.items():
            if self.states[place] != state:
                self.states[place], self.changed[place], self.version = state, version, version
        self.news.clear()

    @property
    def etag(self) -> str:
        return f"{self.generation}.{self.version}"

    def since(self, etag: str) -> int:
        """The version that an etag of ours names; 0 for any other."""
        generation, _, version = etag.partition(".")
        return (
            int(version)
            if generation == self.generation and version.isascii() and version.isdigit() and len(version) < 16
            else 0
        )

    def packed(self, since: int) -> bytes:
        """All states, or what changed after version `since`: for each host `place << 8 | state` in four bytes.
        Whichever is shorter."""
        total = len(self.states)
        if 0 < since <= self.version:
            places = (
                [place for place, version in enumerate(self.changed) if version > since] if since < self.version else []
            )
            if 4 * len(places) < total:
                changes = struct.pack(f"<{len(places)}I", *(place << 8 | self.states[place] for place in places))
                return HEAD.pack(MAGIC, 1, 0, 0, total, self.version) + changes
        return HEAD.pack(MAGIC, 0, 0, 0, total, self.version) + self.states


def _packed(status: int, unreachable: bool) -> int:
    return status | UNREACHABLE if unreachable else status


@dataclass(slots=True)
class _Kept:
    follower: Subscription
    lock: trio.Lock = field(default_factory=trio.Lock)
    cells: HostStateSnapshot | None = None
    next_at: float = 0.0
    listed: bytes = b""
    listed_at: float = -LISTED_S


class HostStateCache:
    """Of the last `answers_kept` tasks that were looked at."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, task_id: str) -> HostStateSnapshot:
        """Raises ClarionError task_not_found."""
        return (await self._read(task_id))[1]

    async def _read(self, task_id: str) -> tuple[_Kept, HostStateSnapshot]:
        """What is kept may be forgotten while it is read, if so many other tasks are looked at."""
        task = await committed_task(self._deps, task_id)
        kept = self._kept.setdefault(task_id, _Kept(Subscription(self._deps.live.followed)))
        self._kept.move_to_end(task_id)
        while len(self._kept) > self._deps.limits.answers_kept:
            self._kept.popitem(last=False)[1].follower.close()
        async with kept.lock:
            now = self._deps.clock.now().mono
            if kept.cells is None:
                await self._begin(kept, task)
            elif task.status.final and not kept.cells.task.status.final:
                await self._end(kept, kept.cells, task)
            elif kept.follower.follows and now >= kept.next_at:
                kept.cells.settle()
                kept.cells.task, kept.next_at = task, now + FRESH_S
            assert kept.cells is not None
            return kept, kept.cells

    async def _begin(self, kept: _Kept, task: Task) -> None:
        host_ids = await self._deps.store.targets(task.task_id)
        places = {host_id: place for place, host_id in enumerate(host_ids)}
        size = len(host_ids)
        command_id = (await command_of(self._deps, task.task_id)).command_id
        cells = HostStateSnapshot(
            task, command_id, host_ids, places, bytearray(size), array("Q", [1]) * size, self._deps.entropy(4).hex()
        )
        with kept.follower.beginning(command_id, cells.note) if not task.status.final else nullcontext():
            cells.take(await self._deps.store.states(command_id))
        kept.cells, kept.next_at = cells, self._deps.clock.now().mono + FRESH_S

    async def _end(self, kept: _Kept, cells: HostStateSnapshot, task: Task) -> None:
        """Read once more, then never again."""
        lines = await self._deps.store.states(cells.command_id)
        kept.follower.end()
        cells.news.clear()
        cells.take(lines)
        cells.task = task

    async def listed(self, task_id: str) -> bytes:
        """A CellsView, as JSON. Raises ClarionError task_not_found."""
        kept, cells = await self._read(task_id)
        now = self._deps.clock.now().mono
        if now - kept.listed_at >= LISTED_S:
            hosts = self._deps.fleet.directory.hosts
            names = [hosts[host_id].hostname if host_id in hosts else host_id for host_id in cells.host_ids]
            ids = b64encode(bytes.fromhex("".join(cells.host_ids).replace("-", ""))).decode("ascii")
            kept.listed = orjson.dumps(
                CellsView(task_id=task_id, total=len(names), names=names, ids=ids), default=msgspec.to_builtins
            )
            kept.listed_at = now
        return kept.listed
