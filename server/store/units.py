"""What one caller of the writer wants to have written together, and how much that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from server.core.effects import CreateTask, Save, SaveExecution, SaveLate, SaveOutput
from server.core.write_order import WriteOrder

_ROW = 512
"""Bytes of an ordinary row in memory, roughly; outputs, scripts and target lists are counted."""
_TARGET = 100
_REPORT = 1024
TARGETS_TO_A_ROW = 3
"""To insert a pending row costs the database a third of what it costs to change one."""


class Unit:
    """rows: changes of rows that the database will be asked for, or what costs as much. bytes: an estimate of the
    memory the saves hold.

    `then` is called, or whoever waits for `done` is woken, at the end; `error` says how it ended for the latter.
    """

    __slots__ = ("bytes", "done", "error", "order", "rows", "saves", "since", "then")

    def __init__(
        self,
        saves: Sequence[Save],
        since: float,
        then: Callable[[], None] | None,
        done: trio.Event | None,
        order: WriteOrder,
    ) -> None:
        self.saves = saves
        self.since = since
        self.then = then
        self.done = done
        self.order = order
        self.error: Exception | None = None
        self.rows, self.bytes = _size(saves)

    @property
    def awaited(self) -> bool:
        return self.done is not None

    def succeed(self) -> None:
        if self.then is not None:
            self.then()
        if self.done is not None:
            self.done.set()

    def fail(self, error: Exception) -> None:
        """Tell who waits; a `then` is not called."""
        self.error = error
        if self.done is not None:
            self.done.set()


def _size(saves: Sequence[Save]) -> tuple[int, int]:
    rows = len(saves)
    size = rows * _ROW
    for save in saves:
        if isinstance(save, SaveOutput):
            size += len(save.output.head) + len(save.output.tail)
        elif isinstance(save, SaveExecution):
            row = save.execution
            size += (0 if row.report is None else _REPORT) + len(row.error_message or "") + _REPORT * len(row.earlier)
        elif isinstance(save, CreateTask):
            command = save.command
            targets = len(save.task.targets)
            rows += targets // TARGETS_TO_A_ROW
            size += targets * _TARGET + len(save.task.target_text) + len(command.stdin or b"")
            size += len(command.command or "") + len(command.script or "")
        elif isinstance(save, SaveLate):
            size += _REPORT + sum(len(output.head) + len(output.tail) for output in save.outputs)
    return rows, size
