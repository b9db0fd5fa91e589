"""The tables of a task, of its frozen targets, and of the idempotency keys that made tasks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from server.core.effects import DeleteTask, SaveTask
from server.core.inputs import bounds
from server.core.model import Retry, Task
from server.core.states import ExecutionStatus, TaskStatus
from server.store.tables.columns import MOMENT, Column, Range, Row, as_json, number
from server.store.tables.table import Table, WriteRule

COUNTERS = tuple(f"count_{status.label}" for status in ExecutionStatus)
"""Columns with the number of executions in each status."""
_STATUSES = tuple(TaskStatus)
_DURATION = Range(0, bounds.DURATION_MAX_MS, None)
_FIELDS = (
    Column("task_id"),
    Column("name"),
    Column("description"),
    Column("type"),
    Column("status"),
    Column("created_by"),
    number("created_at", MOMENT),
    number("updated_at", MOMENT),
    Column("target_text"),
    Column("parameters"),
    number("timeout_ms", _DURATION),
    number("concurrency", Range(1, 1 << 31, None)),
    number("cancel_requested_at", MOMENT),
    Column("cancel_reason"),
    number("started_at", MOMENT),
    number("finished_at", MOMENT),
    number("version", Range(0, bounds.NUMBER_MAX, 1)),
    number("wait_ms", _DURATION),
    Column("retry"),
    Column("rerun_of"),
    number("spent_ms", Range(0, bounds.DURATION_MAX_MS, 0)),
    Column("host_sets"),
)
_TOTALS = ("total_hosts", "completed_hosts", "failed_hosts")
_FIRST_COUNT = len(_FIELDS)
_LAST_COUNT = _FIRST_COUNT + len(COUNTERS)


def task_row(task: Task) -> tuple[Any, ...]:
    """The row of a task: its fields, its counters, and their totals."""
    return (
        task.task_id,
        task.name,
        task.description,
        task.type,
        int(task.status),
        task.created_by,
        task.created_at,
        task.updated_at,
        task.target_text,
        as_json(task.parameters),
        task.timeout_ms,
        task.concurrency,
        task.cancel_requested_at,
        task.cancel_reason,
        task.started_at,
        task.finished_at,
        task.version,
        task.wait_ms,
        None if task.retry is None else as_json(asdict(task.retry)),
        task.rerun_of,
        task.spent_ms,
        as_json(task.sets) if task.sets else None,
        *task.counts,
        task.total_hosts,
        task.completed_hosts,
        task.failed_hosts,
    )


def task_from(row: Row, targets: tuple[str, ...] = ()) -> Task:
    """The task of a row. Its targets are in a table of their own."""
    return Task(
        task_id=row[0],
        name=row[1],
        description=row[2],
        type=row[3],
        status=_STATUSES[row[4]],
        created_by=row[5],
        created_at=row[6],
        updated_at=row[7],
        target_text=row[8],
        targets=targets,
        parameters=orjson.loads(row[9]),
        timeout_ms=row[10],
        concurrency=row[11],
        cancel_requested_at=row[12],
        cancel_reason=row[13],
        started_at=row[14],
        finished_at=row[15],
        version=row[16],
        wait_ms=row[17],
        retry=None if row[18] is None else _retry(row[18]),
        rerun_of=row[19],
        spent_ms=row[20],
        sets={} if row[21] is None else orjson.loads(row[21]),
        counts=tuple(row[_FIRST_COUNT:_LAST_COUNT]),
    )


def _retry(text: str) -> Retry:
    kept = orjson.loads(text)
    return Retry(**kept | {"codes": tuple(kept["codes"])})


TASK = Table(
    "task",
    Task,
    key=("task_id",),
    columns=(*_FIELDS, *map(Column, COUNTERS), *map(Column, _TOTALS)),
    rule=WriteRule.NEWER_VERSION,
    saves={SaveTask: "task"},
    deletes={DeleteTask: "task_id"},
    fixed=frozenset({"created_by", "created_at", "host_sets"}),
    open_rows="status < 2",
    encode=task_row,
    decode=task_from,
)
TASK_TARGETS = Table(
    "task_targets",
    tuple,
    key=("task_id",),
    columns=(Column("task_id"), Column("targets")),
    rule=WriteRule.BY_HAND,
    deletes={DeleteTask: "task_id"},
)
IDEMPOTENCY = Table(
    "idempotency",
    tuple,
    key=("idempotency_key",),
    columns=(Column("idempotency_key"), Column("task_id"), Column("request_digest"), Column("created_at")),
    rule=WriteRule.BY_HAND,
    deletes={DeleteTask: "task_id"},
)
