"""A unit: the saves that one caller of the writer wants written together, and their size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from server.core.effects import CreateTask, Save, SaveExecution, SaveLate, SaveOutput
from server.core.write_order import WriteOrder

_ROW = 512
"""Bytes of an ordinary row in memory, roughly; outputs, scripts and target lists are counted."""
_TARGET = 100
"""Bytes of a host id in a target list."""
_REPORT = 1024
"""Bytes of a report, roughly."""
TARGETS_TO_A_ROW = 3
"""Inserting a pending execution costs the database a third of what changing one costs."""


class Unit:
    """The saves of one call, written in one transaction.

    Attributes:
        rows: row changes that the database will make, or work that costs as much.
        bytes: an estimate of the memory that the saves hold.
        since: monotonic seconds at which it was queued.
        then: called after the commit; None if the caller waits.
        done: set at the end for a caller that waits; `error` then says how it ended.
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
        """Measure the saves."""
        self.saves = saves
        self.since = since
        self.then = then
        self.done = done
        self.order = order
        self.error: Exception | None = None
        self.rows, self.bytes = _size(saves)

    @property
    def awaited(self) -> bool:
        """True if a caller waits for it."""
        return self.done is not None

    def succeed(self) -> None:
        """Call `then`, or wake the caller."""
        if self.then is not None:
            self.then()
        if self.done is not None:
            self.done.set()

    def fail(self, error: Exception) -> None:
        """Wake the caller with an error; `then` is not called."""
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
