"""Levels of the writer's queue: its statistics, and the marks between which it counts as full.

It is full from reaching the high mark until the level is at or below the low mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """Counters and levels of the writer.

    Attributes:
        queued_units: units that are not committed yet, including the batch in progress.
        queued_rows: their rows.
        queued_bytes: their bytes, roughly.
        oldest_seconds: the age of the oldest waiting unit.
        batches: transactions committed.
        units: units committed.
        rows: rows committed, as the callers gave them, before merging.
        passed: units that were written before larger ones.
        refused: units that the database refused.
        retries: attempts that failed because the database was unavailable.
        last_commit_seconds: the duration of the last commit.
        available: False while the database is unavailable.
        full: the queue is above its high-water mark.
    """

    queued_units: int
    queued_rows: int
    queued_bytes: int
    oldest_seconds: float
    batches: int
    units: int
    rows: int
    passed: int
    refused: int
    retries: int
    last_commit_seconds: float
    available: bool
    full: bool


class Water:
    """Marks for rows and for bytes. Either one fills it; both must have fallen for it to be open again."""

    def __init__(self, high: int, low: int, high_bytes: int, low_bytes: int) -> None:
        """Start empty."""
        self._high, self._low, self._high_bytes, self._low_bytes = high, low, high_bytes, low_bytes
        self._room = trio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """True between reaching a high mark and falling to the low marks."""
        return not self._room.is_set()

    def stands(self, rows: int, size: int) -> None:
        """Report the current number of rows and bytes."""
        if rows >= self._high or size >= self._high_bytes:
            if self._room.is_set():
                self._room = trio.Event()
        elif rows <= self._low and size <= self._low_bytes:
            self._room.set()

    def open(self) -> None:
        """Stop making callers wait."""
        self._room.set()

    async def wait_room(self) -> None:
        """Return when it is not full."""
        while self.full:
            await self._room.wait()
