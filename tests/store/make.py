"""Tasks, rows and outputs to put into stores. Ids are UUIDv7 made from counters, so that a failing test fails again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from proto.ids import uuid7
from server.core.effects import CreateTask, Save, SaveExecution, SaveTask
from server.core.model import Command, Execution, Output, Task
from server.core.results.outputs import output_id_of
from server.core.states import ExecutionStatus, TaskStatus

_numbers = itertools.count(1)


def new_id(at: int = 1_700_000_000_000) -> str:
    """at: the time in the id, milliseconds."""
    return uuid7(at, next(_numbers).to_bytes(10, "big"))


def hosts(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def create(targets: Sequence[str], *, at: int = 1_700_000_000_000, **fields: object) -> CreateTask:
    """A pending task and its command; `fields` are Task's."""
    task_id = new_id(at)
    counts = (len(targets), *(0,) * (len(ExecutionStatus) - 1))
    task = Task(
        task_id=task_id,
        name="nightly",
        description="",
        type="command",
        status=TaskStatus.PENDING,
        created_by="admin",
        created_at=at,
        updated_at=at,
        target_text="all",
        targets=tuple(targets),
        counts=counts,
    )
    return CreateTask(replace(task, **fields), Command(new_id(at), task_id, command="true"))  # type: ignore[arg-type]


def moved(
    made: CreateTask, statuses: Sequence[ExecutionStatus], *, version: int, status: TaskStatus = TaskStatus.RUNNING
) -> list[Save]:
    """The saves that bring the task's rows, in the order of its targets, to these statuses; counters included."""
    counts = [0] * len(ExecutionStatus)
    for one in statuses:
        counts[one] += 1
    rows = [
        Execution(made.command.command_id, host_id, status=one, version=version)
        for host_id, one in zip(made.task.targets, statuses, strict=True)
    ]
    task = replace(made.task, status=status, counts=tuple(counts), version=version, targets=())
    return [SaveTask(task), *map(SaveExecution, rows)]


def output(head: bytes, tail: bytes = b"", dropped: int = 0) -> Output:
    total, digest = len(head) + len(tail) + dropped, sha256(head + tail).digest()
    return Output(output_id_of(head, tail, total, digest), head, tail, total, digest)
