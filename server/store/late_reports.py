"""Which reports are late, which ones nobody asked for, and which are only the repetition of what ended the row."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from server.core.effects import SaveLate, SaveOrphan
from server.core.model import Output
from server.core.states import ExecutionStatus
from server.store.tables.columns import Row, as_json

NO_REPORT = "{}"
"""Of an orphan whose host has not reported how it ended."""
ORPHANS = 100
"""Of one host, in all: what it reports of executions that the database does not know."""
ORPHAN_BYTES = 4 << 20
"""Of the outputs of these."""


@dataclass(frozen=True, slots=True)
class RowEnd:
    """What the store knows of how a row ended. report, earlier, late: JSON text; late: the late report that is kept
    already."""

    attempt: int
    status: int
    agent_finished_at: int | None
    report: str | None
    earlier: str | None = None
    late: str | None = None


def is_repeated(end: RowEnd, late: SaveLate, report: str | None) -> bool:
    """True if this very report ended the row, or an attempt before its last one.

    An agent's finish time identifies its report of an attempt. A report without one is compared as a whole: keeping a
    repetition beside the row is harmless, losing a report is not.
    """
    if late.attempt < end.attempt and end.earlier is not None:
        ended = (late.attempt, late.agent_finished_at)
        return any((one["attempt"], one["agent_finished_at"]) == ended for one in orjson.loads(end.earlier))
    if (
        end.status < ExecutionStatus.COMPLETED
        or end.attempt != late.attempt
        or end.agent_finished_at != late.agent_finished_at
    ):
        return False
    return late.agent_finished_at is not None or end.report == report


@dataclass(frozen=True, slots=True)
class Room:
    """What one host's orphans take. filled: those that have a report already; empty: those that have none yet."""

    bytes: int = 0
    filled: frozenset[tuple[str, int]] = frozenset()
    empty: frozenset[tuple[str, int]] = frozenset()

    @property
    def left(self) -> int:
        """Further ones that may be kept."""
        return ORPHANS - len(self.filled) - len(self.empty)


@dataclass(frozen=True, slots=True)
class Sorted:
    """beside: (late_result, command_id, host_id) to be set on rows. orphans: rows of orphan_result. outputs: of both,
    as far as they are kept."""

    beside: list[tuple[Any, ...]]
    orphans: list[tuple[Any, ...]]
    outputs: list[Output]


def sort(
    lates: Iterable[SaveLate],
    ends: Mapping[tuple[str, str], RowEnd],
    rooms: Mapping[str, Room],
    deleted: Container[str],
) -> Sorted:
    """What is kept of late reports, each row once. rooms: of hosts with reports for rows that do not exist. deleted:
    commands that are.

    Beside a row the last report of the newest attempt is kept; its output only when it is the first one of that
    attempt, so that a host that
    reports again and again leaves no more than one output per attempt. Without a row a report is kept if its host's
    Hello claimed it, and within ORPHANS and ORPHAN_BYTES.
    """
    beside: dict[tuple[str, str], tuple[Any, ...]] = {}
    orphans: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    outputs: list[Output] = []
    left, taken = {host: room.left for host, room in rooms.items()}, {host: room.bytes for host, room in rooms.items()}
    latest = {key: end.late for key, end in ends.items()}
    for late in lates:
        key = (late.command_id, late.host_id)
        report, end = as_json(late.report), ends.get(key)
        if end is not None:
            kept = _attempt(latest[key])
            if is_repeated(end, late, report) or report == latest[key] or late.attempt < kept:
                continue
            if kept < late.attempt <= end.attempt:
                outputs += late.outputs
            elif late.outputs:
                report = as_json({**late.report, "stdout_id": None, "stderr_id": None, "output_dropped": True})
            latest[key] = report
            beside[key] = (report, late.command_id, late.host_id)
            continue
        where = (late.host_id, late.command_id, late.attempt)
        if (
            not late.claimed
            or late.command_id in deleted
            or where in orphans
            or where[1:] in rooms[late.host_id].filled
        ):
            continue
        if where[1:] not in rooms[late.host_id].empty:
            if left[late.host_id] <= 0:
                continue
            left[late.host_id] -= 1
        size = sum(len(output.head) + len(output.tail) for output in late.outputs)
        if taken[late.host_id] + size <= ORPHAN_BYTES:
            outputs += late.outputs
            taken[late.host_id] += size
        else:
            size, report = 0, as_json({**late.report, "stdout_id": None, "stderr_id": None, "output_dropped": True})
        orphans[where] = (*where, late.received_at, late.agent_finished_at, report, None, None, size)
    return Sorted(list(beside.values()), list(orphans.values()), outputs)


def _attempt(late: str | None) -> int:
    """That a kept late report is of; 0 for none, 1 for one of an earlier release."""
    if late is None:
        return 0
    attempt = orjson.loads(late).get("attempt", 1)
    return attempt if isinstance(attempt, int) else 1


def room(rows: Iterable[Row]) -> Room:
    """rows: (command_id, attempt, kept_bytes, report) of one host's orphans."""
    found = list(rows)
    keys = {True: set[tuple[str, int]](), False: set[tuple[str, int]]()}
    for command_id, attempt, _, report in found:
        keys[report != NO_REPORT].add((str(command_id), int(attempt)))
    return Room(sum(int(size) for _, _, size, _ in found), frozenset(keys[True]), frozenset(keys[False]))


def noted(orphans: Iterable[SaveOrphan], rooms: Mapping[str, Room]) -> list[tuple[Any, ...]]:
    """Rows of orphan_result without a report, as far as there is room for them."""
    left = {host_id: room.left for host_id, room in rooms.items()}
    found: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for one in orphans:
        where, room = (one.host_id, one.command_id, one.attempt), rooms[one.host_id]
        is_new = where[1:] not in room.filled and where[1:] not in room.empty and where not in found
        if not is_new or left[one.host_id] > 0:
            left[one.host_id] -= is_new
            found[where] = (*where, one.received_at, None, NO_REPORT, one.seq, one.stage, 0)
    return list(found.values())
