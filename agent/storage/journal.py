"""The journal: appends the engine's records and makes them durable, in its own thread.

One fdatasync covers all waiting records (group commit). After a failed write or fdatasync the journal accepts no more
records. The kernel may have marked the lost pages clean, so that a second fdatasync would succeed without writing them.
Only a Rewrite ends that state: it creates a new file from the engine's state and reads it back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.effects import Append, Rewrite
from agent.core.events import JournalDurable, JournalFailed
from agent.core.executions import IllegalStep
from agent.core.journal import Record
from agent.core.state import Limits, State, fold, salvage
from agent.errors import StateUnusable
from agent.shim.system.limits import explain
from agent.storage.disk import Disk
from agent.storage.journal_file import Header, content, frame, scan, written
from proto.common import file_errors

Report = Callable[[JournalDurable | JournalFailed], None]
BATCH = 4_096


@dataclass(frozen=True, slots=True)
class Sizes:
    """Disk space reserved for the journal.

    Attributes:
        capacity: Bytes preallocated for the file.
        reserve: Bytes of a second file, which is deleted when the disk is full, so that the journal can still be
            rewritten.
    """

    capacity: int = 16 << 20
    reserve: int = 64 << 20


class Journal:
    """File `journal` of the state directory. Create it with `open_journal`."""

    def __init__(self, path: Path, header: Header, sizes: Sizes, disk: Disk, warn: Callable[[str], None]) -> None:
        self.path, self.header, self.sizes, self.disk, self._warn = path, header, sizes, disk, warn
        self._fd, self._end, self._allocated = -1, 0, 0
        self._broken = False
        self._queue: queue.SimpleQueue[Append | Rewrite | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    # --- called by the event loop -------------------------------------------------------------------------------------

    def start(self, report: Report) -> None:
        """Start the thread. `report` is called in that thread."""
        self._thread = threading.Thread(target=self._run, args=(report,), name="journal", daemon=True)
        self._thread.start()

    def put(self, work: Append | Rewrite) -> None:
        """Queue a write without waiting.

        The journal answers with JournalDurable for this position or a later one, or with JournalFailed.
        """
        self._queue.put(work)

    def close(self) -> None:
        """Make all queued records durable and end the thread. Blocks for one write."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)

    # --- in the journal's thread --------------------------------------------------------------------------------------

    def _run(self, report: Report) -> None:
        while True:
            work: Append | Rewrite | _Nothing | None = self._queue.get()
            appends: list[Append] = []
            while isinstance(work, Append):
                appends.append(work)
                work = self._next() if len(appends) < BATCH else _NONE
            if appends and not self._broken:
                self._append(appends, report)
            if work is None:
                return
            if isinstance(work, Rewrite):
                self._replace(work, report)

    def _next(self) -> Append | Rewrite | _Nothing | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return _NONE

    def _append(self, appends: Sequence[Append], report: Report) -> None:
        data = b"".join(frame(record) for append in appends for record in append.records)
        try:
            if self._end + len(data) > self._allocated:
                size = self._allocated + max(self.sizes.capacity, len(data))
                self.disk.allocate(self._fd, size)
                self._allocated = size
            self.disk.write(self._fd, data, self._end)
            self.disk.sync(self._fd)
        except OSError as error:
            self._broken = True
            report(JournalFailed(f"{self.path}: {error.strerror or error}"))
            return
        self._end += len(data)
        report(JournalDurable(appends[-1].position))

    def _replace(self, work: Rewrite, report: Report) -> None:
        try:
            self.rewrite(work.records)
        except OSError as error:
            message = f"{self.path}: {error.strerror or error}"
            if self._broken:
                report(JournalFailed(message))
                return
            # the old file still holds all records
            self._warn(f"the journal could not be compacted: {message}")
        report(JournalDurable(work.position))

    # --- files --------------------------------------------------------------------------------------------------------

    def rewrite(self, records: Sequence[Record]) -> None:
        """Replace the file by a new one with these records.

        Raises:
            OSError: The old file is unchanged.
        """
        try:
            self._rewrite(records)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._release():
                raise
            self._warn("the disk is full: the journal's reserve was deleted to rewrite the journal")
            self._rewrite(records)
        self._set_aside()

    def _rewrite(self, records: Sequence[Record]) -> None:
        data = content(self.header, records)
        capacity = max(self.sizes.capacity, 2 * len(data))
        header = Header(self.header.journal_id, capacity, self.header.made_at_ms)
        data = content(header, records)
        new = self.path.with_name(self.path.name + ".new")
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self.disk.allocate(fd, capacity)
            self.disk.write(fd, data, 0)
            self.disk.sync(fd)
            back = scan(*_written(fd))
            if back.damage or back.records != list(records):
                raise OSError(
                    errno.EIO,
                    f"the new journal reads differently than it was written: {back.damage or 'other records'}",
                )
            self.disk.replace(new, self.path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self.header = header
        self._fd, self._end, self._allocated, self._broken = fd, len(data), capacity, False

    def _set_aside(self) -> None:
        reserve = self.path.with_name(self.path.name + ".reserve")
        if not self.sizes.reserve or (reserve.exists() and reserve.stat().st_size >= self.sizes.reserve):
            return
        fd = os.open(reserve, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.disk.allocate(fd, self.sizes.reserve)
        except OSError as error:
            reserve.unlink()
            self._warn(
                f"no space for the journal's reserve of {self.sizes.reserve} bytes: {error.strerror}; free "
                f"space on this disk"
            )
        finally:
            os.close(fd)

    def _release(self) -> bool:
        try:
            self.path.with_name(self.path.name + ".reserve").unlink()
        except FileNotFoundError:
            return False
        return True

    def adopt(self, end: int) -> None:
        """Continue to write to the existing file.

        After a failed fdatasync the kernel may hold the contents in memory only and marked clean, so they are written
        again.
        """
        self._fd = os.open(self.path, os.O_RDWR)
        self._end, self._allocated = end, os.fstat(self._fd).st_size
        self.disk.write(self._fd, os.pread(self._fd, end, 0), 0)
        self.disk.sync(self._fd)
        self._set_aside()


def _written(fd: int) -> tuple[bytes, int]:
    return written(lambda size, offset: os.pread(fd, size, offset))


class _Nothing:
    """Marks an empty queue; None means end."""


_NONE = _Nothing()


def read_journal(path: Path, limits: Limits | None = None) -> tuple[Header | None, State, int, str]:
    """Read a journal without changing it.

    Returns:
        Header, state, end of the data, and a description of damage (empty if there is none).

    Raises:
        FileNotFoundError: There is no journal.
        OSError: The file cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = scan(*_written(fd))
    finally:
        os.close(fd)
    try:
        if not found.damage:
            return found.header, fold(found.records, limits), found.end, ""
    except IllegalStep as error:
        found.damage = f"its records contradict each other: {error}"
    state, _ = salvage(found.records, limits)
    return found.header, state, found.end, found.damage


def open_journal(
    path: Path,
    *,
    new_id: str,
    now_ms: int,
    warn: Callable[[str], None],
    limits: Limits | None = None,
    sizes: Sizes | None = None,
    disk: Disk | None = None,
) -> tuple[Journal, State]:
    """Open or create the journal.

    It gets `new_id` if it did not exist or if part of it could not be read.

    Returns:
        The journal, and the state that it describes.

    Raises:
        StateUnusable: The file cannot be read or written.
    """
    sizes, disk = sizes or Sizes(), disk or Disk()
    try:
        try:
            header, state, end, damage = read_journal(path, limits)
        except FileNotFoundError:
            journal = Journal(path, Header(new_id, 0, now_ms), sizes, disk, warn)
            journal.rewrite(State(limits or Limits()).records())
            return journal, State(limits or Limits())
        if header is not None and not damage:
            journal = Journal(path, header, sizes, disk, warn)
            journal.adopt(end)
            return journal, state
        warn(f"{path}: {damage}; {len(state.executions)} executions could be read; the journal continues with a new id")
        journal = Journal(path, Header(new_id, 0, now_ms), sizes, disk, warn)
        journal.rewrite(state.records())
        return journal, state
    except OSError as error:
        raise StateUnusable(
            f"{path}: {explain(error)}",
            file_errors.remedy(error),
        ) from error
