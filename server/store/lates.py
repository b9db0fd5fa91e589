"""Which reports are late, which ones nobody asked for, and which are only the repetition of what ended the row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from server.core.effects import SaveLate
from server.core.states import ExecutionStatus
from server.store.rows import as_json


@dataclass(frozen=True, slots=True)
class RowEnd:
    """What the store knows of how a row ended. report, earlier: JSON text."""

    attempt: int
    status: int
    agent_finished_at: int | None
    report: str | None
    earlier: str | None = None


def is_repeated(end: RowEnd, late: SaveLate, report: str | None) -> bool:
    """True if this very report ended the row, or an attempt before its last one.

    An agent's finish time identifies its report of an attempt. A report without one is compared as a whole: keeping a
    repetition beside the row is harmless, losing a report is not.
    """
    if late.attempt < end.attempt and end.earlier is not None:
        ended = (late.attempt, late.agent_finished_at)
        return any((one["attempt"], one["agent_finished_at"]) == ended for one in orjson.loads(end.earlier))
    if end.status < ExecutionStatus.COMPLETED or end.attempt != late.attempt or end.agent_finished_at != late.agent_finished_at:
        return False
    return late.agent_finished_at is not None or end.report == report


def sort_out(lates: Iterable[SaveLate], ends: Mapping[tuple[str, str], RowEnd]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """(late_result, command_id, host_id) to be set on rows, and rows of orphan_result; each row once, the last report wins."""
    beside: dict[tuple[str, str], tuple[Any, ...]] = {}
    orphans: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for late in lates:
        key = (late.command_id, late.host_id)
        report = as_json(late.report)
        end = ends.get(key)
        if end is None:
            orphans[late.host_id, late.command_id, late.attempt] = (
                *(late.host_id, late.command_id, late.attempt, late.received_at, late.agent_finished_at, report),
            )
        elif not is_repeated(end, late, report):
            beside[key] = (report, late.command_id, late.host_id)
    return list(beside.values()), list(orphans.values())
