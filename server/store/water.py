"""Limits of the writer and levels of its queue: its statistics, and the marks between which it counts as full.

It is full from reaching the high mark until the level is at or below the low mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio
from msgspec.structs import asdict

from server.settings.sections.writer import Writer as WriterSettings

_SETTINGS = WriterSettings()


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


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Limits of the writer. Those that are settings have the name and the default of their setting.

    Attributes:
        linger_ms: how long a unit waits for others; 0: not at all.
        max_rows: rows of a transaction that holds more than one unit.
        small_rows: rows of a unit that may pass larger ones; 0: no unit may.
        batch_ms: how long a transaction may take while units pass; 0: no limit.
        high_water: rows from which `full` is True.
        low_water: rows at or below which `full` is False again.
        reading_high_water: rows from which the server reads nothing more from agents, until high_water; by default
            twice high_water.
        high_water_bytes: bytes from which `full` is True.
        low_water_bytes: bytes at or below which `full` is False again; by default half of high_water_bytes.
        max_bytes: bytes of a transaction that holds more than one unit.
        retry_min: seconds before the first retry. They double, each with jitter down to its half.
        retry_max: seconds between two retries, at most.
    """

    linger_ms: float = _SETTINGS.linger_ms
    max_rows: int = _SETTINGS.max_rows
    small_rows: int = _SETTINGS.small_rows
    batch_ms: float = _SETTINGS.batch_ms
    high_water: int = _SETTINGS.high_water
    low_water: int = _SETTINGS.low_water
    reading_high_water: int | None = None
    high_water_bytes: int = _SETTINGS.high_water_bytes
    low_water_bytes: int | None = None
    max_bytes: int = 16 << 20
    retry_min: float = 0.05
    retry_max: float = 5.0

    @classmethod
    def from_settings(cls, settings: WriterSettings) -> WriterLimits:
        """The limits that the settings describe."""
        return cls(**asdict(settings))

    def new_work(self) -> Water:
        """The marks at which new work from outside waits."""
        return Water(self.high_water, self.low_water, self.high_water_bytes, self._low_bytes)

    def reading(self) -> Water:
        """The marks at which the server reads nothing more from agents."""
        most = 2 * self.high_water if self.reading_high_water is None else self.reading_high_water
        return Water(most, min(self.high_water, most - 1), self.high_water_bytes, self._low_bytes)

    @property
    def _low_bytes(self) -> int:
        return self.high_water_bytes // 2 if self.low_water_bytes is None else self.low_water_bytes
