"""The one writer: it joins many small units of saves into few large transactions, and calls back after each commit.

A unit is what one `put` or `commit` brought. Units are never split and never dropped. While the database is unavailable
the writer keeps its batch and tries again; the queue grows to the high-water marks, and callers are expected to check
`full`. Units are written in the order in which they were queued. Small ones are the exception: they are written before
larger ones that they are unrelated to (server/core/write_order.py, lanes.py), so that one command on one host does not
wait until ten thousand rows are written. While such units arrive, transactions are kept short (batches.py).

When a batch is written: if the writer has been idle for `linger`, one tick of the loop after the first unit, so that a
single command never waits. Otherwise `linger` after the oldest unit was queued, or as soon as `max_rows` wait. There
are thus at most two commits per `linger`, however units arrive, and the batches of a busy writer are as large as
without that exception. Under load the duration of a commit sets the batch: units that arrive meanwhile form the next
one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import structlog
import trio

from server.core.effects import Save
from server.core.write_order import AFTER_ALL, WriteOrder, order_of
from server.ports import Clock, Entropy
from server.store.base import Store, StoreRefused, StoreUnavailable
from server.store.batches import BatchSize
from server.store.lanes import Lanes
from server.store.units import Unit
from server.store.water import WriterLimits, WriterStatistics

log = structlog.get_logger(__name__)

DEFAULTS = WriterLimits()

CALLBACKS_IN_A_ROW, ROWS_IN_A_ROW = 100, 400
"""After this many callbacks, or callbacks for this many rows, the loop gets a turn."""


class WriterClosed(StoreUnavailable):
    """The writer has stopped. Whether queued units were written is not known."""


class Writer:
    """A `ports.Commits`.

    Args:
        store: the database.
        clock: for the age of units.
        entropy: for the jitter of retries.
        limits: of transactions, of the queue and of retries.
        committed: called with the seconds of each commit.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        entropy: Entropy,
        limits: WriterLimits = DEFAULTS,
        committed: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """Start with an empty queue; `run` begins to write."""
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._linger = limits.linger_ms / 1000
        self._max_bytes = limits.max_bytes
        self._size = BatchSize(limits.max_rows, limits.batch_ms / 1000, limits.small_rows)
        self._new, self._reading = limits.new_work(), limits.reading()
        self._retry_min, self._retry_max = limits.retry_min, limits.retry_max
        self._committed = committed
        self._waiting = Lanes(limits.small_rows)
        self._rows = self._bytes = 0
        self._wake = trio.Event()
        self._wake_rows = 1
        self._in_flight: deque[Unit] = deque()
        self._untold: deque[Unit] = deque()
        """Units that are committed and whose callbacks have not run yet."""
        self._tell, self._told = trio.Event(), trio.Event()
        self._error: Exception | None = None
        self._idle_since = float("-inf")
        self._closing = False
        self._stopped = trio.Event()
        self._running = False
        self._batches = self._units_done = self._rows_done = self._passed = self._refused = self._retries = 0
        self._last_commit = 0.0
        self._available = True

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None:
        """Queue one unit; never awaits. The database must accept its saves: if it refuses them, `run` raises.

        Args:
            saves: what to write.
            then: called after the commit, and after the `then` of every earlier unit that this one is related to.
            order: what the unit is related to, if its saves do not tell all of it.

        Raises:
            WriterClosed: the writer has stopped.
        """
        self._enqueue(Unit(saves, self._clock.now().mono, then, None, order_of(saves) if order is None else order))

    async def commit(self, saves: Sequence[Save], order: WriteOrder | None = None) -> None:
        """Return once these saves, and everything earlier that they are related to, are committed.

        Without saves and without an order, return once everything earlier is committed. Cancellation takes nothing
        back.

        Raises:
            StoreRefused: the database refuses these saves.
            WriterClosed: the writer has stopped.
        """
        done = trio.Event()
        if order is None:
            order = order_of(saves) if saves else AFTER_ALL
        unit = Unit(saves, self._clock.now().mono, None, done, order)
        self._enqueue(unit)
        await done.wait()
        if unit.error is not None:
            raise unit.error

    @property
    def full(self) -> bool:
        """True while no new work from outside may be accepted."""
        return self._new.full

    async def wait_room(self) -> None:
        """Return when the writer is not `full`."""
        await self._new.wait_room()

    @property
    def reading_stopped(self) -> bool:
        """True while nothing more may be read from agents, because the work in progress exceeds what can be written."""
        return self._reading.full

    @property
    def lags(self) -> bool:
        """True while units wait that a small one may have to pass."""
        return self._waiting.line > 0

    async def wait_reading(self) -> None:
        """Return when agents may be read from."""
        await self._reading.wait_room()

    def statistics(self) -> WriterStatistics:
        """Current counters and levels."""
        since = self._in_flight[0].since if self._in_flight else self._waiting.oldest if self._waiting else None
        return WriterStatistics(
            queued_units=len(self._waiting) + len(self._in_flight),
            queued_rows=self._rows,
            queued_bytes=self._bytes,
            oldest_seconds=0.0 if since is None else self._clock.now().mono - since,
            batches=self._batches,
            units=self._units_done,
            rows=self._rows_done,
            passed=self._passed,
            refused=self._refused,
            retries=self._retries,
            last_commit_seconds=self._last_commit,
            available=self._available,
            full=self.full,
        )

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `aclose`.

        Raises:
            StoreRefused: the database refused a unit of `put`.
        """
        self._running = True
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell_all, nursery.cancel_scope)
                try:
                    await self._write_all()
                except Exception as error:
                    self._error = error
                nursery.cancel_scope.cancel()
            if self._error is not None:
                raise self._error
        finally:
            self._running = False
            self._closing = True
            for unit in [*self._untold, *self._in_flight, *self._waiting]:
                unit.fail(WriterClosed("the writer has stopped"))
            self._stopped.set()
            self._new.open()
            self._reading.open()

    async def _write_all(self) -> None:
        while await self._batch_is_due():
            self._in_flight.extend(self._waiting.take(self._size.rows(self._clock.now().mono), self._max_bytes))
            try:
                await self._write(self._in_flight)
            except StoreRefused as error:
                await self._one_by_one(error)
            else:
                await self._confirm(len(self._in_flight))

    async def aclose(self) -> None:
        """Write everything, including what the callbacks add, then stop.

        Only the caller's cancel scope limits the time.
        """
        self._closing = True
        self._wake.set()
        if self._running:
            await self._stopped.wait()
        elif self._waiting:
            raise WriterClosed("the writer does not run, so what is queued cannot be written")

    def _enqueue(self, unit: Unit) -> None:
        if self._stopped.is_set() or (self._closing and not self._running):
            raise WriterClosed("the writer has stopped")
        if self._waiting.add(unit):
            self._passed += 1
            self._size.passed(unit.since)
        self._rows += unit.rows
        self._bytes += unit.bytes
        self._stands()
        if self._waiting.rows >= self._wake_rows or not unit.saves:
            self._wake.set()

    def _stands(self) -> None:
        self._new.stands(self._rows, self._bytes)
        self._reading.stands(self._rows, self._bytes)

    async def _batch_is_due(self) -> bool:
        """Return False when everything is written and the writer is to stop."""
        while not self._waiting:
            # callbacks that were not called yet may add units
            if self._closing and not self._untold:
                return False
            await self._sleep(1, None)
        now = self._clock.now().mono
        if now - self._idle_since >= self._linger:
            # idle until now: only what is put in this very tick is worth waiting for
            await trio.lowlevel.checkpoint()
            return True
        due = self._waiting.oldest + self._linger
        enough = self._size.rows(now)
        while self._waiting.first.saves and self._waiting.rows < enough and not self._closing:
            left = due - self._clock.now().mono
            if left <= 0:
                break
            await self._sleep(enough, left)
        return True

    async def _sleep(self, rows: int, seconds: float | None) -> None:
        """Return when this many rows wait, a unit without saves arrives, the writer is to stop, or time is up."""
        self._wake, self._wake_rows = trio.Event(), rows
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await self._wake.wait()

    async def _write(self, units: Sequence[Unit] | deque[Unit]) -> None:
        """Run one transaction; repeat it until the database has answered.

        Raises:
            StoreRefused: the database refuses it.
        """
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
                    log.warning("database_unavailable", waiting_rows=self._rows, error=str(error))
                self._retries += 1
                await trio.sleep(delay * (0.5 + int.from_bytes(self._entropy(4), "big") / 2**33))
                delay = min(delay * 2, self._retry_max)
            except StoreRefused:
                self._back(begun)
                raise
        self._back(begun)
        self._idle_since = self._clock.now().mono
        self._last_commit = self._idle_since - tried
        self._size.took(sum(unit.rows for unit in units), self._last_commit)
        self._committed(self._last_commit)
        self._batches += 1

    def _back(self, since: float) -> None:
        if not self._available:
            self._available = True
            unavailable_s = round(self._clock.now().mono - since, 1)
            log.info("database_available", unavailable_s=unavailable_s, waiting_rows=self._rows)

    async def _confirm(self, count: int) -> None:
        """Call back for the first `count` units in progress, in order: they are committed.

        Few callbacks run at once. Many run while the next batch is written, so that a small unit in that batch does not
        wait for them too; this is done for at most one batch.
        """
        units = [self._in_flight.popleft() for _ in range(count)]
        rows = 0
        for unit in units:
            self._forget(unit)
            rows += unit.rows
        self._units_done += count
        self._rows_done += rows
        await self._all_told()
        self._untold.extend(units)
        if count > CALLBACKS_IN_A_ROW or rows > ROWS_IN_A_ROW:
            self._tell.set()
            return
        while self._untold:
            self._untold.popleft().succeed()

    async def _tell_all(self, writing: trio.CancelScope) -> None:
        """Tell the callers of `_untold`, for ever. writing: canceled if a callback raises."""
        while True:
            callbacks = rows = 0
            while self._untold:
                # taken off first: if the callback raises, only those after it are told that the writer has stopped
                unit = self._untold.popleft()
                try:
                    unit.succeed()
                except Exception as error:
                    self._error = error
                    writing.cancel()
                    return
                callbacks, rows = callbacks + 1, rows + unit.rows
                if callbacks >= CALLBACKS_IN_A_ROW or rows >= ROWS_IN_A_ROW:
                    callbacks = rows = 0
                    await trio.lowlevel.checkpoint()
            self._told.set()
            if self._closing:
                self._wake.set()
            self._tell = trio.Event()
            await self._tell.wait()

    async def _all_told(self) -> None:
        while self._untold:
            self._told = trio.Event()
            await self._told.wait()

    async def _one_by_one(self, refusal: StoreRefused) -> None:
        """Write the units of a refused batch one by one, to find the one that the database refuses.

        Raises:
            StoreRefused: the refused unit has no caller that waits.
        """
        await self._all_told()
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
        self._stands()
