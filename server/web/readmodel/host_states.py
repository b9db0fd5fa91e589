"""The states of all hosts of a task, in one byte per host, for a map that stays small with ten thousand hosts.

The low four bits of a byte are the number of the execution's status; UNREACHABLE is added if the host is offline. The
bytes are in the order of the task's list of hosts. The states are read from the store on first use, updated with each
commit, and read once more when the task has ended. A client that names a version gets only the changes since, if they
are shorter.
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
"""Minimum seconds between two versions, so that clients that read at different times see the same few versions."""
HOST_LIST_FRESH_S = 1.0
"""The list of hosts is made once for all requests within this many seconds."""
HEAD = struct.Struct("<4sBBHIQ")
"""Magic, 0 for all states or 1 for changes, three zero bytes, number of hosts, version. Little-endian."""
MAGIC = b"CLST"


@dataclass(slots=True)
class HostStateSnapshot:
    """The states of a task's hosts.

    Attributes:
        changed: For each host, the version in which its state last changed.
        pending: Place → state, committed after this version.
    """

    task: Task
    command_id: str
    host_ids: tuple[str, ...]
    places: dict[str, int]
    states: bytearray
    changed: array[int]
    generation: str
    version: int = 1
    pending: dict[int, int] = field(default_factory=dict)

    def load(self, lines: Iterable[str]) -> None:
        """Load the states of all hosts as the store returns them. Commits received since the read began are newer and
        win."""
        read = {
            place: _packed(int(line[0]), line[2] == "1")
            for line in lines
            if (place := self.places.get(line[4:])) is not None
        }
        self.pending = read | self.pending
        self.publish()

    def record(self, row: Execution) -> None:
        """Record a committed execution for the next version."""
        if (place := self.places.get(row.host_id)) is not None:
            self.pending[place] = _packed(row.status, row.unreachable)

    def publish(self) -> None:
        """Make a new version from all pending changes."""
        version = self.version + 1
        for place, state in self.pending.items():
            if self.states[place] != state:
                self.states[place], self.changed[place], self.version = state, version, version
        self.pending.clear()

    @property
    def etag(self) -> str:
        return f"{self.generation}.{self.version}"

    def since(self, etag: str) -> int:
        """The version that an ETag of this snapshot names; 0 for any other ETag."""
        generation, _, version = etag.partition(".")
        return (
            int(version)
            if generation == self.generation and version.isascii() and version.isdigit() and len(version) < 16
            else 0
        )

    def packed(self, since: int) -> bytes:
        """All states, or the changes after version `since`, as `place << 8 | state` in four bytes per host; whichever
        is shorter."""
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
class _Cached:
    subscription: Subscription
    lock: trio.Lock = field(default_factory=trio.Lock)
    snapshot: HostStateSnapshot | None = None
    next_at: float = 0.0
    host_list: bytes = b""
    host_list_at: float = -HOST_LIST_FRESH_S


class HostStateCache:
    """Host states of the last `answers_kept` tasks that were requested."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._cached: OrderedDict[str, _Cached] = OrderedDict()

    async def of(self, task_id: str) -> HostStateSnapshot:
        """The states of a task's hosts. Raises ClarionError task_not_found."""
        return (await self._get(task_id))[1]

    async def _get(self, task_id: str) -> tuple[_Cached, HostStateSnapshot]:
        """As `of`. The entry may be evicted while it is read, if many other tasks are requested."""
        task = await committed_task(self._deps, task_id)
        cached = self._cached.setdefault(task_id, _Cached(Subscription(self._deps.live.commit_feed)))
        self._cached.move_to_end(task_id)
        while len(self._cached) > self._deps.limits.answers_kept:
            self._cached.popitem(last=False)[1].subscription.close()
        async with cached.lock:
            now = self._deps.clock.now().mono
            if cached.snapshot is None:
                await self._load(cached, task)
            elif task.status.final and not cached.snapshot.task.status.final:
                await self._load_final(cached, cached.snapshot, task)
            elif cached.subscription.active and now >= cached.next_at:
                cached.snapshot.publish()
                cached.snapshot.task, cached.next_at = task, now + FRESH_S
            assert cached.snapshot is not None
            return cached, cached.snapshot

    async def _load(self, cached: _Cached, task: Task) -> None:
        host_ids = await self._deps.store.targets(task.task_id)
        places = {host_id: place for place, host_id in enumerate(host_ids)}
        size = len(host_ids)
        command_id = (await command_of(self._deps, task.task_id)).command_id
        snapshot = HostStateSnapshot(
            task, command_id, host_ids, places, bytearray(size), array("Q", [1]) * size, self._deps.entropy(4).hex()
        )
        with cached.subscription.starting(command_id, snapshot.record) if not task.status.final else nullcontext():
            snapshot.load(await self._deps.store.states(command_id))
        cached.snapshot, cached.next_at = snapshot, self._deps.clock.now().mono + FRESH_S

    async def _load_final(self, cached: _Cached, snapshot: HostStateSnapshot, task: Task) -> None:
        """Read the states once more after the end of the task."""
        lines = await self._deps.store.states(snapshot.command_id)
        cached.subscription.end()
        snapshot.pending.clear()
        snapshot.load(lines)
        snapshot.task = task

    async def host_list(self, task_id: str) -> bytes:
        """A CellsView as JSON. Raises ClarionError task_not_found."""
        cached, snapshot = await self._get(task_id)
        now = self._deps.clock.now().mono
        if now - cached.host_list_at >= HOST_LIST_FRESH_S:
            hosts = self._deps.fleet.directory.hosts
            names = [hosts[host_id].hostname if host_id in hosts else host_id for host_id in snapshot.host_ids]
            ids = b64encode(bytes.fromhex("".join(snapshot.host_ids).replace("-", ""))).decode("ascii")
            cached.host_list = orjson.dumps(
                CellsView(task_id=task_id, total=len(names), names=names, ids=ids), default=msgspec.to_builtins
            )
            cached.host_list_at = now
        return cached.host_list
