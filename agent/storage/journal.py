"""The journal: appends and makes durable what the engine has decided, in a thread of its own.

One fdatasync covers all that is waiting (group commit). After a failed write or fdatasync nothing more is taken: the
kernel may
have marked the lost pages clean, so that a second fdatasync would succeed without having written them. Only a Rewrite,
which
makes a new file from what the engine knows and reads it back, ends that state.
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

Report = Callable[[JournalDurable | JournalFailed], None]
BATCH = 4_096


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes set aside on disk. reserve: released when the disk is full, so that the journal can still be rewritten."""

    capacity: int = 16 << 20
    reserve: int = 64 << 20


class Journal:
    """File `journal` of the state directory. Use `open_journal`."""

    def __init__(self, path: Path, header: Header, sizes: Sizes, disk: Disk, warn: Callable[[str], None]) -> None:
        self.path, self.header, self.sizes, self.disk, self._warn = path, header, sizes, disk, warn
        self._fd, self._end, self._allocated = -1, 0, 0
        self._broken = False
        self._queue: queue.SimpleQueue[Append | Rewrite | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    # --- for the loop
    # ---------------------------------------------------------------------------------------------------

    def start(self, report: Report) -> None:
        """report is called in the journal's thread."""
        self._thread = threading.Thread(target=self._run, args=(report,), name="journal", daemon=True)
        self._thread.start()

    def put(self, work: Append | Rewrite) -> None:
        """Never waits; answered by JournalDurable with its position or a later one, or by JournalFailed."""
        self._queue.put(work)

    def close(self) -> None:
        """Make durable what is waiting, then end. Blocks for one write."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)

    # --- in the thread
    # --------------------------------------------------------------------------------------------------

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
            # the old file holds all that the new one was to hold
            self._warn(f"the journal could not be compacted: {message}")
        report(JournalDurable(work.position))

    # --- files
    # ----------------------------------------------------------------------------------------------------------

    def rewrite(self, records: Sequence[Record]) -> None:
        """Put a new file in the old one's place. Raises OSError; the old file is then as it was."""
        try:
            self._rewrite(records)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._release():
                raise
            self._warn("the disk is full: the journal's reserve was given up to rewrite the journal")
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
                raise OSError(errno.EIO, f"what was written reads differently: {back.damage or 'other records'}")
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
                f"no room for the journal's reserve of {self.sizes.reserve} bytes: {error.strerror}; free "
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
        """Go on writing to the file that is there.

        What was read may be in the kernel's memory only, and marked clean after a failed fdatasync: it is written
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
    """No work is waiting (None means: end)."""


_NONE = _Nothing()


def read_journal(path: Path, limits: Limits | None = None) -> tuple[Header | None, State, int, str]:
    """(header, state, end, damage) of a journal, for reading only. Raises FileNotFoundError, OSError."""
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
    """The journal and what it says. It carries new_id when there was none, or when part of it could not be read.

    Raises StateUnusable.
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
        warn(f"{path}: {damage}; {len(state.executions)} executions could be read, the journal goes on under a new id")
        journal = Journal(path, Header(new_id, 0, now_ms), sizes, disk, warn)
        journal.rewrite(state.records())
        return journal, state
    except OSError as error:
        raise StateUnusable(
            f"{path}: {explain(error)}",
            "make the state directory readable and writable for the agent's user and free space on its disk",
        ) from error
