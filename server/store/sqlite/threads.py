"""Threads that each own one SQLite connection and run one job after another; the trio loop never waits for a disk.

A job that has begun is always awaited to its end, even by a task that is being cancelled: it takes milliseconds, and
its outcome is known. A job that has not begun is withdrawn.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import outcome
import trio

T = TypeVar("T")

_DAMAGED = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
"""After these errors the state of a connection may be wrong: it is opened again for the next job."""


class _Job:
    """A job. `begun` is taken once: by the thread that runs it, or by the waiting task that withdraws it."""

    __slots__ = ("begun", "task", "token", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.begun = threading.Lock()
        self.task = trio.lowlevel.current_task()
        self.token = trio.lowlevel.current_trio_token()


class SqliteThreads:
    """`count` threads that share one queue. Each calls `connect` when its first job arrives."""

    def __init__(self, name: str, count: int, connect: Callable[[], sqlite3.Connection]) -> None:
        """Start the threads."""
        self._connect = connect
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._loop, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        self._closed = False
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` returns, or raise what it raises.

        Raises:
            trio.ClosedResourceError: `aclose` was called.
        """
        if self._closed:
            raise trio.ClosedResourceError("the database is closed")
        await trio.lowlevel.checkpoint_if_cancelled()
        job = _Job(work)

        def abort(_: Callable[[], None]) -> trio.lowlevel.Abort:
            withdrawn = job.begun.acquire(blocking=False)
            return trio.lowlevel.Abort.SUCCEEDED if withdrawn else trio.lowlevel.Abort.FAILED

        self._jobs.put(job)
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    async def aclose(self) -> None:
        """Finish the queue and close the connections. Not cancellable: it lasts as long as the last job."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        with trio.CancelScope(shield=True):
            for thread in self._threads:
                await trio.to_thread.run_sync(thread.join)

    def _loop(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._jobs.get()) is not None:
            if not job.begun.acquire(blocking=False):
                continue
            result: outcome.Outcome[Any]
            try:
                if connection is None:
                    connection = self._connect()
                result = outcome.Value(job.work(connection))
            except BaseException as error:  # the waiting task gets any error
                result = outcome.Error(error)
                if connection is not None and _damaged(error):
                    connection.close()
                    connection = None
            with suppress(trio.RunFinishedError):  # the loop has ended, and the waiting task with it
                job.token.run_sync_soon(trio.lowlevel.reschedule, job.task, result)
            del job, result
        if connection is not None:
            connection.close()


def _damaged(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return True
        error = error.__cause__
    return False
