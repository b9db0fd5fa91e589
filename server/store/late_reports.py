"""Decides which late reports are kept, and which only repeat the report that ended an execution."""

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
"""The report of an orphan whose host has not reported its end."""
ORPHANS = 100
"""Orphans that are kept of one host, at most."""
ORPHAN_BYTES = 4 << 20
"""Bytes of their outputs, at most."""


@dataclass(frozen=True, slots=True)
class RowEnd:
    """How an execution ended, as the store knows it. Reports are JSON text.

    Attributes:
        late: the late report that is kept already.
    """

    attempt: int
    status: int
    agent_finished_at: int | None
    report: str | None
    earlier: str | None = None
    late: str | None = None


def is_repeated(end: RowEnd, late: SaveLate, report: str | None) -> bool:
    """True if this very report ended the execution, or an attempt before its last one.

    An agent's finish time identifies its report of an attempt. A report without one is compared as a whole: keeping a
    repetition is harmless, losing a report is not.
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
    """The space that one host's orphans take.

    Attributes:
        bytes: bytes of their outputs.
        filled: command id and attempt of those that have a report.
        empty: command id and attempt of those that have none yet.
    """

    bytes: int = 0
    filled: frozenset[tuple[str, int]] = frozenset()
    empty: frozenset[tuple[str, int]] = frozenset()

    @property
    def left(self) -> int:
        """The number of further orphans that may be kept."""
        return ORPHANS - len(self.filled) - len(self.empty)


@dataclass(frozen=True, slots=True)
class Sorted:
    """The late reports that are kept.

    Attributes:
        beside: (late_result, command_id, host_id) to be set on executions.
        orphans: rows of orphan_result.
        outputs: the outputs of both, as far as they are kept.
    """

    beside: list[tuple[Any, ...]]
    orphans: list[tuple[Any, ...]]
    outputs: list[Output]


def sort(
    lates: Iterable[SaveLate],
    ends: Mapping[tuple[str, str], RowEnd],
    rooms: Mapping[str, Room],
    deleted: Container[str],
) -> Sorted:
    """Decide what is kept of late reports, each execution once.

    With the execution, the last report of the newest attempt is kept. Its output is kept only if it is the first report
    of that attempt, so that a host that reports repeatedly leaves at most one output per attempt. Without an execution,
    a report is kept if its host's Hello claimed it, within ORPHANS and ORPHAN_BYTES.

    Args:
        lates: the reports.
        ends: how the executions ended, by command id and host id.
        rooms: the orphans of each host that has a report without an execution.
        deleted: ids of commands whose task was deleted.
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
    """The attempt of a kept late report; 0 if there is none, 1 for one of an earlier release."""
    if late is None:
        return 0
    attempt = orjson.loads(late).get("attempt", 1)
    return attempt if isinstance(attempt, int) else 1


def room(rows: Iterable[Row]) -> Room:
    """The space that one host's orphans take, from rows of (command_id, attempt, kept_bytes, report)."""
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
