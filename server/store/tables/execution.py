"""The table of executions, one row per command and host. It is written by statements of its own, for speed."""

from __future__ import annotations

from typing import Any

import orjson

from server.core.inputs import bounds
from server.core.model import Execution
from server.core.results.groups import Kind, ResultGroup
from server.core.states import ExecutionStatus
from server.store.tables.columns import MOMENT, Column, Range, Row, as_json, number
from server.store.tables.table import Table, WriteRule

_STATUSES = tuple(ExecutionStatus)
_MOMENT_OR_NONE = Range(MOMENT.low, MOMENT.high, None)


def execution_row(row: Execution) -> tuple[Any, ...]:
    """The row of an execution."""
    report, late = row.report, row.late_result
    return (
        row.command_id,
        row.host_id,
        row.attempt,
        int(row.status),
        row.version,
        row.seq,
        row.journal_id,
        int(row.unreachable),
        row.cancel_requested_at,
        row.dispatched_at,
        row.accepted_at,
        row.started_at,
        row.finished_at,
        row.agent_started_at,
        row.agent_finished_at,
        row.execution_ms,
        row.exit_code,
        row.signal,
        row.error_code,
        row.error_message,
        row.stdout_id,
        row.stderr_id,
        None if late is None else as_json(late),
        None if report is None else as_json(report),
        row.cancel_reason,
        as_json(row.earlier) if row.earlier else None,
        row.retry_at,
    )


def execution_from(row: Row) -> Execution:
    """The execution of a row."""
    return Execution(
        command_id=row[0],
        host_id=row[1],
        attempt=row[2],
        status=_STATUSES[row[3]],
        version=row[4],
        seq=row[5],
        journal_id=row[6],
        unreachable=bool(row[7]),
        cancel_requested_at=row[8],
        dispatched_at=row[9],
        accepted_at=row[10],
        started_at=row[11],
        finished_at=row[12],
        agent_started_at=row[13],
        agent_finished_at=row[14],
        execution_ms=row[15],
        exit_code=row[16],
        signal=row[17],
        error_code=row[18],
        error_message=row[19],
        stdout_id=row[20],
        stderr_id=row[21],
        late_result=None if row[22] is None else orjson.loads(row[22]),
        report=None if row[23] is None else orjson.loads(row[23]),
        cancel_reason=row[24],
        earlier=() if row[25] is None else tuple(orjson.loads(row[25])),
        retry_at=row[26],
    )


def answer_from(row: Row) -> ResultGroup:
    """One kind of answer, from a row of the query `answers`; it lists the host ids in one text, separated by commas."""
    return ResultGroup(
        status=_STATUSES[row[0]],
        exit_code=row[1],
        signal=row[2],
        error_code=row[3],
        stdout_id=row[4],
        stderr_id=row[5],
        first_at=row[6],
        host_ids=tuple(row[7].split(",")),
    )


def kind_from(row: Row) -> Kind:
    """The kind of an answer, from the first six columns of a row of the query `notes`."""
    return (_STATUSES[row[0]], row[1], row[2], row[3], row[4], row[5])


EXECUTION = Table(
    "command_host",
    Execution,
    key=("command_id", "host_id"),
    columns=(
        Column("command_id"),
        Column("host_id"),
        number("attempt", Range(1, bounds.ATTEMPTS_MAX, 1)),
        Column("status"),
        number("version", Range(0, bounds.NUMBER_MAX, 1)),
        number("seq", Range(1, bounds.SEQ_MAX, 1)),
        Column("journal_id"),
        Column("unreachable"),
        number("cancel_requested_at", MOMENT),
        number("dispatched_at", MOMENT),
        number("accepted_at", MOMENT),
        number("started_at", MOMENT),
        number("finished_at", MOMENT),
        number("agent_started_at", _MOMENT_OR_NONE),
        number("agent_finished_at", _MOMENT_OR_NONE),
        number("execution_ms", Range(0, bounds.DURATION_MAX_MS, None)),
        number("exit_code", Range(-(1 << 31), (1 << 31) - 1, None)),
        Column("exit_signal", attribute="signal", range=Range(0, bounds.SIGNAL_MAX, None)),
        Column("error_code"),
        Column("error_message"),
        Column("stdout_id"),
        Column("stderr_id"),
        Column("late_result"),
        Column("report"),
        Column("cancel_reason"),
        Column("earlier"),
        number("retry_at", MOMENT),
    ),
    rule=WriteRule.BY_HAND,
    fixed=frozenset({"late_result"}),
    open_rows=(
        "status < 3 AND command_id IN (SELECT command_id FROM command WHERE task_id IN "
        "(SELECT task_id FROM task WHERE status < 2))"
    ),
    encode=execution_row,
    decode=execution_from,
)
