"""Checks stored numbers at a start, and replaces those that no server can have written.

A number that a host said, a bit that flipped, or a hand in the database must never keep a server from starting, so
every column that is read
at a start has bounds here. A number outside them is replaced by one that is safe: what was ended, revoked or accepted
stays so. Counters are
counted again. Texts that cannot be read are left as they are, and what they belong to is passed over, see `Reads`.

`healing` is a generator, because one database is asked from a thread and the other one from a task: it yields
(statement, parameters) and is
sent (rows, number of rows changed).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.core.inputs import bounds
from server.core.states import ExecutionStatus
from server.store.tables.rows import Row

Question = tuple[str, Mapping[str, object]]
Answer = tuple[Sequence[Row], int]
DELETED = 1_000_000
"""Commands of deleted tasks that are remembered, the newest; ids begin with their time."""
COUNTERS = tuple(f"count_{status.label}" for status in ExecutionStatus)


@dataclass(frozen=True, slots=True)
class Healed:
    """rows: how many rows of `table` had an impossible `column`. what: for people."""

    table: str
    column: str
    rows: int
    what: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}: {self.what} in {self.rows} rows"


@dataclass(frozen=True, slots=True)
class Column:
    """low, high: what a server can have written. instead: what stands there after healing."""

    low: int
    high: int
    instead: int | None


def _moment(instead: int | None = 0) -> Column:
    return Column(0, bounds.TIME_MAX_MS, instead)


_COUNT = bounds.NUMBER_MAX
_GENERATION = Column(0, 4 * bounds.GENERATION_MAX, bounds.GENERATION_MAX)
"""Replaced by a generation above all certificates that were given out: none of them is let in until the host has joined
again."""

ALWAYS: Mapping[str, Mapping[str, Column]] = {
    "host_seq": {"max_seq": Column(0, bounds.SEQ_MAX, 0), "max_epoch": Column(0, bounds.EPOCH_MAX, 0)},
    "host": {
        name: _moment()
        for name in ("first_seen_at", "last_seen_at", "last_heartbeat_at", "created_at", "updated_at", "replaced_at")
    },
    "host_seen": {"last_seen_at": _moment()},
    "host_identity": {
        **dict.fromkeys(("generation", "joined_generation"), _GENERATION),
        **{
            name: _moment()
            for name in ("not_after", "issued_at", "next_not_after", "revoked_at", "quarantined_at", "released_at")
        },
    },
    "join_token": {
        "expires_at": _moment(),
        "created_at": _moment(),
        "uses_left": Column(0, 1 << 32, 0),
        "replaces": Column(0, 1, 0),
    },
    "join_request": {
        **{name: _moment() for name in ("created_at", "expires_at", "decided_at")},
        "approved": Column(0, 1, 0),
    },
}
"""Tables that are read as a whole at a start."""

OPEN: Mapping[str, Mapping[str, Column]] = {
    "task": {
        **{
            name: _moment() for name in ("created_at", "updated_at", "cancel_requested_at", "started_at", "finished_at")
        },
        **dict.fromkeys(("timeout_ms", "wait_ms"), Column(0, bounds.DURATION_MAX_MS, None)),
        "concurrency": Column(1, 1 << 31, None),
        "spent_ms": Column(0, bounds.DURATION_MAX_MS, 0),
        "version": Column(0, _COUNT, 1),
    },
    "command": {
        "timeout_ms": Column(0, bounds.DURATION_MAX_MS, 3_600_000),
        "grace_ms": Column(0, bounds.DURATION_MAX_MS, 5_000),
        "start_within_ms": Column(0, bounds.DURATION_MAX_MS, 60_000),
        "max_output": Column(0, _COUNT, 1 << 30),
        "umask": Column(0, 0o7777, None),
    },
    "command_host": {
        **{
            name: _moment()
            for name in ("cancel_requested_at", "dispatched_at", "accepted_at", "started_at", "finished_at", "retry_at")
        },
        **dict.fromkeys(("agent_started_at", "agent_finished_at"), _moment(None)),
        "execution_ms": Column(0, bounds.DURATION_MAX_MS, None),
        "exit_code": Column(-(1 << 31), (1 << 31) - 1, None),
        "exit_signal": Column(0, bounds.SIGNAL_MAX, None),
        "attempt": Column(1, bounds.ATTEMPTS_MAX, 1),
        "seq": Column(1, bounds.SEQ_MAX, 1),
        "version": Column(0, _COUNT, 1),
    },
}
"""Tables of which a start reads what belongs to tasks that have not ended."""

_WHOSE = {
    "task": "status < 2",
    "command": "task_id IN (SELECT task_id FROM task WHERE status < 2)",
    "command_host": (
        "status < 3 AND command_id IN (SELECT command_id FROM command WHERE task_id IN (SELECT task_id FROM task "
        "WHERE status < 2))"
    ),
}


def healing(dialect: str) -> Generator[Question, Answer, list[Healed]]:
    """Returns what was healed, nothing in the usual case. Also forgets the oldest commands of deleted tasks."""
    healed = []
    for tables, whose in ((ALWAYS, {}), (OPEN, _WHOSE)):
        for table, columns in tables.items():
            where = f"({whose[table]}) AND " if table in whose else ""
            wrong = " OR ".join(_wrong(dialect, name, column) for name, column in columns.items())
            rows, _ = yield f"SELECT COUNT(*) FROM {table} WHERE {where}({wrong})", {}
            if rows[0][0]:
                healed += yield from _columns(dialect, table, columns, where)
    healed += yield from _counters(dialect)
    rows, _ = yield f"SELECT command_id FROM deleted_command ORDER BY command_id DESC LIMIT 1 OFFSET {DELETED}", {}
    if rows:
        yield "DELETE FROM deleted_command WHERE command_id <= :command_id", {"command_id": rows[0][0]}
    return healed


def _columns(
    dialect: str, table: str, columns: Mapping[str, Column], where: str
) -> Generator[Question, Answer, list[Healed]]:
    healed = []
    for name, column in columns.items():
        _, changed = yield (
            f"UPDATE {table} SET {name} = :instead WHERE {where}{_wrong(dialect, name, column)}",
            {"instead": column.instead},
        )
        if changed:
            healed.append(
                Healed(table, name, changed, f"not within {column.low} and {column.high}, now {column.instead}")
            )
    return healed


def _counters(dialect: str) -> Generator[Question, Answer, list[Healed]]:
    """Those of every task are summed at a start, so those of tasks that have ended are checked too."""
    wrong = " OR ".join(
        _wrong(dialect, name, Column(0, 1 << 31, 0))
        for name in (*COUNTERS, "total_hosts", "completed_hosts", "failed_hosts")
    )
    tasks, _ = yield f"SELECT task_id FROM task WHERE {wrong}", {}
    for (task_id,) in tasks:
        query = (
            "SELECT status, COUNT(*) FROM command_host WHERE command_id IN (SELECT command_id FROM command WHERE "
            "task_id = :task_id) GROUP BY status"
        )
        rows, _ = yield query, {"task_id": task_id}
        counts: dict[Any, int] = dict(rows)  # type: ignore[arg-type]
        counted: dict[str, object] = {
            name: counts.get(int(status), 0) for name, status in zip(COUNTERS, ExecutionStatus, strict=True)
        }
        counted["total_hosts"] = sum(counts.values())
        counted["completed_hosts"] = counts.get(int(ExecutionStatus.COMPLETED), 0)
        counted["failed_hosts"] = sum(number for status, number in counts.items() if status >= ExecutionStatus.FAILED)
        yield (
            f"UPDATE task SET {', '.join(f'{name} = :{name}' for name in counted)} WHERE task_id = :task_id",
            {**counted, "task_id": task_id},
        )
    return [Healed("task", "count_*", len(tasks), "impossible counters, counted again")] if tasks else []


def _wrong(dialect: str, name: str, column: Column) -> str:
    outside = f"{name} NOT BETWEEN {column.low} AND {column.high}"
    if dialect != "sqlite":
        return f"({outside})"
    # SQLite stores in a column of integers also what is none: a sum that overflowed has become a floating-point number
    return f"({name} IS NOT NULL AND (typeof({name}) <> 'integer' OR {outside}))"
