"""Cache of result groups per task: read from the store on first use, updated with each commit, and read once more when
the task has ended."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from server.core.model import Output, Task
from server.core.results.groups import Kind, KindOrder, ResultGroup
from server.core.results.live_groups import LiveGroups
from server.core.selectors.fold import Folded, fold
from server.web.readmodel.commit_feed import Subscription
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import command_of, committed_task

SaveOrder = Callable[[str, bytes], Awaitable[None]]
"""Commits the order in which a command's groups appeared: (command_id, encoded order)."""
FRESH_S = 1.0
"""Minimum seconds between two updates of the groups of a running task."""

NOTES_FRESH_S = 5.0
"""Minimum seconds between two counts of the notes of a running task, because the count reads all its reports in the
database."""
FOLDED_CHARS = 4_000
NUMBERED_INLINE = 500
"""Up to this many groups are numbered on the event loop; more of them in a thread."""
FOLDED_INLINE = 4_000
"""Up to this many names are folded on the event loop. A thread that computes gives the event loop a turn only every 5
ms: folds of 3,300 names, which take 3 ms each, delayed it by 20 ms each."""


@dataclass(frozen=True, slots=True)
class GroupMembers:
    """The hosts of a group: their names in folded form, and the first host by name."""

    folded: Folded
    host_id: str
    hostname: str


@dataclass(frozen=True, slots=True)
class ResultGroups:
    """The committed result groups of a task.

    Attributes:
        task: The task.
        groups: Groups of executions that have ended, by number.
        open: Groups of executions that have not ended.
        members: Hosts of the groups, by group number, made on demand.
    """

    task: Task
    groups: Sequence[ResultGroup]
    open: Sequence[ResultGroup]
    members: dict[int, GroupMembers] = field(default_factory=dict)
    notes: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    """Hosts per note of proto.notes.MARKED, for groups that have any. For a running task up to NOTES_FRESH_S old."""

    @property
    def all(self) -> list[ResultGroup]:
        return [*self.groups, *self.open]


@dataclass(slots=True)
class _Cached:
    """Cached groups of one task.

    Attributes:
        order: The committed order of the groups, so that a crash cannot change a number that was shown.
        live_groups: Groups of a task that has not ended.
    """

    subscription: Subscription
    lock: trio.Lock = field(default_factory=trio.Lock)
    answers: ResultGroups | None = None
    live_groups: LiveGroups | None = None
    order: bytes | None = None
    read_at: float = 0.0
    notes: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    notes_read_at: float | None = None


class ResultGroupCache:
    def __init__(self, deps: Deps, save_order: SaveOrder) -> None:
        self._deps, self._save_order = deps, save_order
        self._cached: OrderedDict[str, _Cached] = OrderedDict()

    async def of(self, task_id: str) -> ResultGroups:
        """The result groups of a task. Raises ClarionError task_not_found, StoreUnavailable."""
        task = await committed_task(self._deps, task_id)
        cached = self._cached.setdefault(task_id, _Cached(Subscription(self._deps.live.commit_feed)))
        self._cached.move_to_end(task_id)
        while len(self._cached) > self._deps.limits.answers_kept:
            self._cached.popitem(last=False)[1].subscription.close()
        async with cached.lock:
            if cached.answers is None or not self._is_current(cached, cached.answers, task):
                started = self._deps.clock.now().mono
                command = await command_of(self._deps, task_id)
                rows = await self._load(cached, command.command_id, task.status.final)
                if cached.order is None:
                    cached.order = await self._deps.store.answer_kinds(command.command_id)
                order = KindOrder(cached.order)
                found = (
                    order.numbered(rows)
                    if len(rows) <= NUMBERED_INLINE
                    else await trio.to_thread.run_sync(order.numbered, rows)
                )
                if len(now_known := bytes(order)) > len(cached.order):
                    # A finished task gets no new groups, so their order can be computed from its executions again.
                    if not task.status.final:
                        await self._save_order(command.command_id, now_known)
                    cached.order = now_known
                groups = [one for one in found if one.status.final]
                await self._load_notes(cached, command.command_id, task.status.final, started)
                cached.answers, cached.read_at = (
                    ResultGroups(task, groups, found[len(groups) :], notes=cached.notes),
                    started,
                )
        return cached.answers

    async def _load_notes(self, cached: _Cached, command_id: str, final: bool, now: float) -> None:
        """Count notes with one query; the executions stay in the database."""
        if final or cached.notes_read_at is None or now - cached.notes_read_at >= NOTES_FRESH_S:
            cached.notes, cached.notes_read_at = await self._deps.store.notes(command_id), now

    async def _load(self, cached: _Cached, command_id: str, final: bool) -> list[ResultGroup]:
        if final:
            rows = await self._deps.store.answers(command_id)
            cached.subscription.end()
            cached.live_groups = None
            return rows
        if cached.live_groups is None or not cached.subscription.active:
            live_groups = LiveGroups()
            with cached.subscription.starting(command_id, live_groups.note):
                live_groups.begin(await self._deps.store.answers(command_id))
            cached.live_groups = live_groups
        return cached.live_groups.answers()

    def _is_current(self, cached: _Cached, answers: ResultGroups, task: Task) -> bool:
        if answers.task.version >= task.version:
            return True
        return not task.status.final and self._deps.clock.now().mono - cached.read_at < FRESH_S


SCANS = 16
"""A request may examine the bytes that it reads this many times, because each condition of a filter examines them
again."""


class ReadBudget:
    """Limits how much output one request reads and examines. Each output is read once."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._outputs, self._bytes = deps.limits.search_max_outputs, deps.limits.search_max_bytes
        self._scans = SCANS * deps.limits.search_max_bytes
        self._read: dict[bytes, Output | None] = {}

    @property
    def spent(self) -> bool:
        return self._outputs <= 0 or self._bytes <= 0 or self._scans <= 0

    def scanned(self, size: int) -> None:
        """Count `size` examined bytes."""
        self._scans -= size

    async def output(self, output_id: bytes | None) -> Output | None:
        """Read an output. None for an empty stream, and for an output that is no longer stored."""
        if output_id is None:
            return None
        if output_id not in self._read:
            output = self._read[output_id] = await self._deps.store.output(output_id)
            self._outputs -= 1
            self._bytes -= 0 if output is None else len(output.head) + len(output.tail)
        return self._read[output_id]


def stored_bytes(output: Output | None) -> bytes:
    """The stored bytes of an output, with a line in place of the missing part, so that no match spans the gap."""
    if output is None:
        return b""
    if not output.truncated:
        return output.head + output.tail
    missing = output.total_bytes - len(output.head) - len(output.tail)
    return output.head + f"\n[… {missing:,} bytes not kept …]\n".encode() + output.tail


async def folded_names(deps: Deps, names: Sequence[str], max_chars: int | None) -> Folded:
    """Fold names, in a thread if there are many. The event loop gets a turn before."""
    await trio.lowlevel.checkpoint()
    return (
        fold(names, max_chars)
        if len(names) <= FOLDED_INLINE
        else await deps.long_work.in_thread(fold, names, max_chars)
    )


async def members_of(deps: Deps, answers: ResultGroups, answer: ResultGroup) -> GroupMembers:
    """The hosts of a group. A host that is deleted, or whose name is not unique, is represented by its id."""
    members = answers.members.get(answer.number)
    if members is None:
        directory, hosts = deps.fleet.directory, deps.fleet.directory.hosts
        names = [hosts[host_id].hostname if host_id in hosts else host_id for host_id in answer.host_ids]
        hostname, host_id = min(zip(names, answer.host_ids, strict=True))
        folded = await folded_names(
            deps,
            [directory.unique_name(host_id) if host_id in hosts else host_id for host_id in answer.host_ids],
            FOLDED_CHARS,
        )
        members = answers.members[answer.number] = GroupMembers(folded, host_id, hostname)
    return members
