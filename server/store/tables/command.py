"""The table of commands, and its one column that is written later."""

from __future__ import annotations

from server.core.effects import DeleteTask, SaveKinds
from server.core.inputs import bounds
from server.core.model import Command
from server.store.tables.columns import (
    FLAG,
    JSON,
    JSON_LIST,
    NULLABLE_BLOB,
    NULLABLE_LIST,
    Column,
    Range,
    number,
)
from server.store.tables.table import Table, WriteRule

_ALL_DURATIONS = bounds.DURATION_MAX_MS

COMMAND = Table(
    "command",
    Command,
    key=("command_id",),
    columns=(
        Column("command_id"),
        Column("task_id"),
        Column("command"),
        Column("argv", NULLABLE_LIST),
        Column("script"),
        Column("interpreter"),
        Column("args", JSON_LIST),
        Column("parameters", JSON),
        Column("env", JSON),
        Column("cwd"),
        Column("run_as"),
        number("umask", Range(0, 0o7777, None)),
        Column("stdin"),
        number("timeout_ms", Range(0, _ALL_DURATIONS, 3_600_000)),
        number("grace_ms", Range(0, _ALL_DURATIONS, 5_000)),
        number("start_within_ms", Range(0, _ALL_DURATIONS, 60_000)),
        number("max_output", Range(0, bounds.NUMBER_MAX, 1 << 30)),
        Column("detach", FLAG),
        Column("success_codes", JSON_LIST),
    ),
    rule=WriteRule.BY_HAND,
    deletes={DeleteTask: "task_id"},
    open_rows="task_id IN (SELECT task_id FROM task WHERE status < 2)",
)
COMMAND_KINDS = Table(
    "command",
    SaveKinds,
    key=("command_id",),
    columns=(Column("command_id"), Column("answer_kinds", NULLABLE_BLOB, attribute="kinds")),
    rule=WriteRule.APPEND,
    saves={SaveKinds: ""},
)
"""The order in which a command's kinds of answers came."""
