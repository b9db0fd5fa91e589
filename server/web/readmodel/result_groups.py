"""The answers of tasks, however many look at them: read from the store at first, kept up to date by what is committed,
and read once more at
the end."""

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
"""Answers of a task that has not ended are put together again after this at the earliest."""

NOTES_FRESH_S = 5.0
"""Notes of a task that has not ended are counted again after this at the earliest: the count reads every report of the
task in the database."""
FOLDED_CHARS = 4_000
FEW = 500
"""Groups to number; more of them take so long that the loop goes on meanwhile."""
FEW_NAMES = 4_000
"""The same for names to fold. A thread that computes lets the loop go on for a moment every 5 ms only, so that folds of
3,300 names, 3 ms each,
held it up for 20 ms each."""


@dataclass(frozen=True, slots=True)
class GroupMembers:
    """Who gave an answer: the names folded, and the first host by name."""

    folded: Folded
    host_id: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one task, as committed. `groups`: those that have ended, by number; `open`: the others. `people`: by number,
    once asked for."""

    task: Task
    groups: Sequence[ResultGroup]
    open: Sequence[ResultGroup]
    people: dict[int, GroupMembers] = field(default_factory=dict)
    notes: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    """Hosts per note of proto.notes.MARKED, of the kinds that have any. Of a task that has not ended, up to
    NOTES_FRESH_S old."""

    @property
    def all(self) -> list[ResultGroup]:
        return [*self.groups, *self.open]


@dataclass(slots=True)
class _Kept:
    """order: as committed, so that no number is shown that a crash could undo. sheet: of a task that has not ended."""

    follower: Subscription
    lock: trio.Lock = field(default_factory=trio.Lock)
    answers: Answers | None = None
    sheet: LiveGroups | None = None
    order: bytes | None = None
    read_at: float = 0.0
    notes: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    noted_at: float | None = None


class ResultGroupCache:
    def __init__(self, deps: Deps, save_order: SaveOrder) -> None:
        self._deps, self._save_order = deps, save_order
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, task_id: str) -> Answers:
        """Raises ClarionError task_not_found."""
        task = await committed_task(self._deps, task_id)
        kept = self._kept.setdefault(task_id, _Kept(Subscription(self._deps.live.followed)))
        self._kept.move_to_end(task_id)
        while len(self._kept) > self._deps.limits.answers_kept:
            self._kept.popitem(last=False)[1].follower.close()
        async with kept.lock:
            if kept.answers is None or not self._good(kept, kept.answers, task):
                started = self._deps.clock.now().mono
                command = await command_of(self._deps, task_id)
                rows = await self._rows(kept, command.command_id, task.status.final)
                if kept.order is None:
                    kept.order = await self._deps.store.answer_kinds(command.command_id)
                order = KindOrder(kept.order)
                found = (
                    order.numbered(rows) if len(rows) <= FEW else await trio.to_thread.run_sync(order.numbered, rows)
                )
                if len(now_known := bytes(order)) > len(kept.order):
                    # Of a task that has ended nothing new can come, so that what follows from its rows alone follows
                    # from them again.
                    if not task.status.final:
                        await self._save_order(command.command_id, now_known)
                    kept.order = now_known
                groups = [one for one in found if one.status.final]
                await self._note(kept, command.command_id, task.status.final, started)
                kept.answers, kept.read_at = Answers(task, groups, found[len(groups) :], notes=kept.notes), started
        return kept.answers

    async def _note(self, kept: _Kept, command_id: str, final: bool, now: float) -> None:
        """One query, in the database; the rows stay there."""
        if final or kept.noted_at is None or now - kept.noted_at >= NOTES_FRESH_S:
            kept.notes, kept.noted_at = await self._deps.store.notes(command_id), now

    async def _rows(self, kept: _Kept, command_id: str, final: bool) -> list[ResultGroup]:
        if final:
            rows = await self._deps.store.answers(command_id)
            kept.follower.end()
            kept.sheet = None
            return rows
        if kept.sheet is None or not kept.follower.follows:
            sheet = LiveGroups()
            with kept.follower.beginning(command_id, sheet.note):
                sheet.begin(await self._deps.store.answers(command_id))
            kept.sheet = sheet
        return kept.sheet.answers()

    def _good(self, kept: _Kept, answers: Answers, task: Task) -> bool:
        if answers.task.version >= task.version:
            return True
        return not task.status.final and self._deps.clock.now().mono - kept.read_at < FRESH_S


LOOKS = 16
"""How often what one request may read of outputs may be looked through: once for each condition."""


class ReadBudget:
    """What one request may still read of outputs. Each is read once."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._outputs, self._bytes = deps.limits.search_max_outputs, deps.limits.search_max_bytes
        self._looks = LOOKS * deps.limits.search_max_bytes
        self._read: dict[bytes, Output | None] = {}

    @property
    def spent(self) -> bool:
        return self._outputs <= 0 or self._bytes <= 0 or self._looks <= 0

    def look(self, size: int) -> None:
        """So many bytes are looked through."""
        self._looks -= size

    async def output(self, output_id: bytes | None) -> Output | None:
        """None for a silent stream and for what is no longer kept."""
        if output_id is None:
            return None
        if output_id not in self._read:
            output = self._read[output_id] = await self._deps.store.output(output_id)
            self._outputs -= 1
            self._bytes -= 0 if output is None else len(output.head) + len(output.tail)
        return self._read[output_id]


def joined(output: Output | None) -> bytes:
    """All that is kept, with a line that stands for what is not, so that nothing is found across the gap."""
    if output is None:
        return b""
    if not output.truncated:
        return output.head + output.tail
    missing = output.total_bytes - len(output.head) - len(output.tail)
    return output.head + f"\n[… {missing:,} bytes not kept …]\n".encode() + output.tail


async def folded_names(deps: Deps, names: Sequence[str], max_chars: int | None) -> Folded:
    """Off the loop where they are many; in any case the loop has a turn before."""
    await trio.lowlevel.checkpoint()
    return fold(names, max_chars) if len(names) <= FEW_NAMES else await deps.slices.thread(fold, names, max_chars)


async def people_of(deps: Deps, answers: Answers, answer: ResultGroup) -> GroupMembers:
    """A host that has been deleted, or shares its name, goes by its id."""
    people = answers.people.get(answer.number)
    if people is None:
        directory, hosts = deps.fleet.directory, deps.fleet.directory.hosts
        names = [hosts[host_id].hostname if host_id in hosts else host_id for host_id in answer.host_ids]
        hostname, host_id = min(zip(names, answer.host_ids, strict=True))
        folded = await folded_names(
            deps,
            [directory.unique_name(host_id) if host_id in hosts else host_id for host_id in answer.host_ids],
            FOLDED_CHARS,
        )
        people = answers.people[answer.number] = GroupMembers(folded, host_id, hostname)
    return people
