"""The one writer: many small units of saves become few large transactions, and callers hear of it after the commit.

A unit is what one `put` or `commit` brought. Units are written in the order they came, never split, never reordered, never
dropped: while the database is away the writer keeps its batch and tries again, the queue grows to the high-water mark, and
whoever feeds it is expected to look at `full`.

When a batch is written: one tick of the loop after the first unit if the writer has been idle for `linger` (so that a
single command never waits), else `linger` after the oldest unit came, or as soon as `max_rows` wait. There are thus at most
two commits per `linger`, however units trickle in, and a busy writer's batches are as large as without that exception.
Under load the time of a commit does the batching: what comes meanwhile is the next batch.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import trio

from server.core.effects import Save
from server.ports import Clock, Entropy
from server.store.base import Store, StoreRefused, StoreUnavailable
from server.store.units import Unit

_log = logging.getLogger(__name__)

CALLBACKS_IN_A_ROW = 100
"""After so many the loop gets a turn."""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """queued_*: not committed yet, the batch in flight included. rows: as given by the callers, before merging.

    available: False while the database is away. oldest_seconds: age of the oldest unit that waits.
    """

    queued_units: int
    queued_rows: int
    queued_bytes: int
    oldest_seconds: float
    batches: int
    units: int
    rows: int
    refused: int
    retries: int
    last_commit_seconds: float
    available: bool
    full: bool


class WriterClosed(StoreUnavailable):
    """The writer has stopped. Nothing is known of what was still queued."""


class Writer:
    """A `ports.Commits`. linger_ms: see above, 0 for at once. max_rows, max_bytes: of one transaction that holds more than
    one unit. `full` from the high-water marks (rows or bytes) until below the low ones; bytes default to half of the high one.
    retry_min, retry_max: seconds, doubling, each with jitter down to its half. committed: told the seconds of each commit."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        entropy: Entropy,
        linger_ms: float = 5,
        max_rows: int = 4_000,
        max_bytes: int = 16 << 20,
        high_water: int = 20_000,
        low_water: int = 10_000,
        high_water_bytes: int = 256 << 20,
        low_water_bytes: int | None = None,
        retry_min: float = 0.05,
        retry_max: float = 5.0,
        committed: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._linger = linger_ms / 1000
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._high, self._low = high_water, low_water
        self._high_bytes = high_water_bytes
        self._low_bytes = high_water_bytes // 2 if low_water_bytes is None else low_water_bytes
        self._retry_min, self._retry_max = retry_min, retry_max
        self._committed = committed
        self._queue: deque[Unit] = deque()
        self._rows = self._bytes = 0
        self._waiting_rows = 0
        self._wake = trio.Event()
        self._wake_rows = 1
        self._room = trio.Event()
        self._room.set()
        self._in_flight: deque[Unit] = deque()
        self._idle_since = float("-inf")
        self._closing = False
        self._stopped = trio.Event()
        self._running = False
        self._batches = self._units_done = self._rows_done = self._refused = self._retries = 0
        self._last_commit = 0.0
        self._available = True

    # --- for those who have something to write ---

    def put(self, saves: Sequence[Save], then: Callable[[], None] | None = None) -> None:
        """Queue one unit; never awaits. `then` is called after its commit and after the `then` of every unit before.

        The database must take these saves: if it refuses them, `run` raises. Raises WriterClosed after the writer's end.
        """
        self._enqueue(Unit(saves, self._clock.now().mono, then, None))

    async def commit(self, saves: Sequence[Save]) -> None:
        """Return once these saves and everything before them are committed.

        Raises StoreRefused for these saves alone, WriterClosed. Being cancelled takes nothing back.
        """
        done = trio.Event()
        unit = Unit(saves, self._clock.now().mono, None, done)
        self._enqueue(unit)
        await done.wait()
        if unit.error is not None:
            raise unit.error

    @property
    def full(self) -> bool:
        """Take no new work from outside."""
        return not self._room.is_set()

    async def wait_room(self) -> None:
        """Return when the writer is not `full`."""
        await self._room.wait()

    def statistics(self) -> WriterStatistics:
        oldest = self._in_flight or self._queue
        return WriterStatistics(
            queued_units=len(self._queue) + len(self._in_flight),
            queued_rows=self._rows,
            queued_bytes=self._bytes,
            oldest_seconds=self._clock.now().mono - oldest[0].since if oldest else 0.0,
            batches=self._batches,
            units=self._units_done,
            rows=self._rows_done,
            refused=self._refused,
            retries=self._retries,
            last_commit_seconds=self._last_commit,
            available=self._available,
            full=self.full,
        )

    # --- its own life ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `aclose`. Raises StoreRefused for a unit that came by `put`, and whatever a `then` raises."""
        self._running = True
        task_status.started()
        try:
            while await self._batch_is_due():
                self._take_batch()
                try:
                    await self._write(self._in_flight)
                except StoreRefused as error:
                    await self._one_by_one(error)
                else:
                    await self._confirm(len(self._in_flight))
        finally:
            self._running = False
            self._closing = True
            for unit in [*self._in_flight, *self._queue]:
                unit.fail(WriterClosed("the writer has stopped"))
            self._stopped.set()
            self._room.set()

    async def aclose(self) -> None:
        """Write everything, what the callbacks add included, then stop. Bounded by the caller's cancel scope only."""
        self._closing = True
        self._wake.set()
        if self._running:
            await self._stopped.wait()
        elif self._queue:
            raise WriterClosed("the writer does not run, so what is queued cannot be written")

    def _enqueue(self, unit: Unit) -> None:
        if self._stopped.is_set() or (self._closing and not self._running):
            raise WriterClosed("the writer has stopped")
        self._queue.append(unit)
        self._rows += unit.rows
        self._bytes += unit.bytes
        self._waiting_rows += unit.rows
        if self._rows >= self._high or self._bytes >= self._high_bytes:
            self._fill_up()
        if self._waiting_rows >= self._wake_rows or not unit.saves:
            self._wake.set()

    def _fill_up(self) -> None:
        if self._room.is_set():
            self._room = trio.Event()

    async def _batch_is_due(self) -> bool:
        """False when everything is written and the writer is to stop."""
        while not self._queue:
            if self._closing:
                return False
            await self._sleep(1, None)
        now = self._clock.now().mono
        if now - self._idle_since >= self._linger:
            # idle until now: only what is put in this very tick is worth waiting for
            await trio.lowlevel.checkpoint()
            return True
        due = self._queue[0].since + self._linger
        while self._queue[0].saves and self._waiting_rows < self._max_rows and not self._closing:
            left = due - self._clock.now().mono
            if left <= 0:
                break
            await self._sleep(self._max_rows, left)
        return True

    async def _sleep(self, rows: int, seconds: float | None) -> None:
        """Until so many rows wait, a unit without saves comes, the writer is to stop, or time is up."""
        self._wake, self._wake_rows = trio.Event(), rows
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await self._wake.wait()

    def _take_batch(self) -> None:
        batch = self._in_flight
        rows = size = 0
        while self._queue:
            unit = self._queue[0]
            if rows and (rows + unit.rows > self._max_rows or size + unit.bytes > self._max_bytes):
                break
            batch.append(self._queue.popleft())
            rows += unit.rows
            size += unit.bytes
        self._waiting_rows -= rows

    async def _write(self, units: Iterable[Unit]) -> None:
        """One transaction, repeated until the database has answered. Raises StoreRefused."""
        saves = [save for unit in units for save in unit.saves]
        if not saves:
            return
        begun = self._clock.now().mono
        delay = self._retry_min
        while True:
            try:
                tried = self._clock.now().mono
                await self._store.write(saves)
                break
            except StoreUnavailable as error:
                if self._available:
                    self._available = False
                    _log.warning("database unavailable, %d rows wait: %s", self._rows, error)
                self._retries += 1
                await trio.sleep(delay * (0.5 + int.from_bytes(self._entropy(4), "big") / 2**33))
                delay = min(delay * 2, self._retry_max)
            except StoreRefused:
                self._back(begun)
                raise
        self._back(begun)
        self._idle_since = self._clock.now().mono
        self._last_commit = self._idle_since - tried
        self._committed(self._last_commit)
        self._batches += 1

    def _back(self, since: float) -> None:
        if not self._available:
            self._available = True
            _log.info("database available again after %.1f s, %d rows wait", self._clock.now().mono - since, self._rows)

    async def _confirm(self, count: int) -> None:
        """The first `count` units in flight are committed: make room, then call their callers in order."""
        for unit in islice(self._in_flight, count):
            self._forget(unit)
            self._units_done += 1
            self._rows_done += unit.rows
        for position in range(1, count + 1):
            # taken off first: if the callback raises, only those after it are told that the writer has stopped
            self._in_flight.popleft().succeed()
            if position % CALLBACKS_IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()

    async def _one_by_one(self, refusal: StoreRefused) -> None:
        """Nothing of the batch is written: find out whose fault it is. Raises the refusal if nobody waits to be told."""
        alone = len(self._in_flight) == 1
        while self._in_flight:
            unit = self._in_flight[0]
            try:
                if alone:
                    raise refusal
                await self._write([unit])
            except StoreRefused as error:
                if not unit.awaited:
                    raise
                self._in_flight.popleft()
                self._refused += 1
                self._forget(unit)
                unit.fail(error)
            else:
                await self._confirm(1)

    def _forget(self, unit: Unit) -> None:
        self._rows -= unit.rows
        self._bytes -= unit.bytes
        if self._rows <= self._low and self._bytes <= self._low_bytes:
            self._room.set()
