"""Reads the pipe of one output stream and keeps its head and tail on disk."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import time
from pathlib import Path

from agent.shim.durable import write_all
from agent.shim.keep import Keeper
from agent.shim.live import STDERR, STDOUT, LiveLog
from agent.shim.records import StreamReport

PIPE_BYTES = 1 << 20
NUMBERS = {"stdout": STDOUT, "stderr": STDERR}


class Spool:
    """One output stream. The head is written to disk as it arrives, so that it can be followed; the tail at the end.

    The head also stays in memory, so that it can be written later if the disk refuses it now.
    """

    def __init__(self, directory: Path, stream: str, head_bytes: int, tail_bytes: int, live: LiveLog) -> None:
        self.keeper = Keeper(head_bytes, tail_bytes)
        self._live, self._number = live, NUMBERS[stream]
        self._head_fd = _create(directory / f"{stream}.head")
        self._tail_fd = _create(directory / f"{stream}.tail")
        self._head_stored = 0
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        # The kernel refuses this when the user's pipe memory is used up (pipe-user-pages-soft, pipe(7)); the default
        # size works more slowly.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self.read_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.open = True

    def pull(self, buffer: mmap.mmap) -> int | None:
        """Read up to one buffer.

        Returns:
            The number of bytes; 0 if the last writer has closed the pipe; None if there is nothing to read now.
        """
        try:
            count = os.readv(self.read_fd, [buffer])
        except BlockingIOError:
            return None
        if count == 0:
            return 0
        with memoryview(buffer) as view:
            self.keeper.feed(view[:count])
            self._live.add(self._number, self.keeper.total_bytes, view[:count])
        if self._head_stored < len(self.keeper.head):
            # A full disk does not stop the reading: `store` tries again and reports what is missing.
            with contextlib.suppress(OSError):
                self._store_head()
        return count

    def close(self) -> None:
        """Close the reading end; a process that still writes gets SIGPIPE."""
        if self.open:
            self.open = False
            os.close(self.read_fd)

    def _store_head(self) -> None:
        head = self.keeper.head
        while self._head_stored < len(head):
            with memoryview(head) as view:
                self._head_stored += os.pwrite(self._head_fd, view[self._head_stored :], self._head_stored)

    def store(self, deadline: float) -> tuple[StreamReport, str]:
        """Make head and tail durable, and repeat failed writes until `deadline` (time.monotonic()).

        Returns:
            The report with the sizes on disk and the counts and digest of everything read, and the error that prevented
            the rest.
        """
        head, head_error = _store(self._head_fd, self.keeper.head, self._head_stored, deadline)
        tail, tail_error = _store(self._tail_fd, self.keeper.tail, 0, deadline)
        report = StreamReport(
            total_bytes=self.keeper.total_bytes, sha256=self.keeper.sha256, head_bytes=head, tail_bytes=tail
        )
        return report, head_error or tail_error


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _store(fd: int, data: bytes | bytearray, stored: int, deadline: float) -> tuple[int, str]:
    """Return the number of durable bytes, and why it is not all of them."""
    if not data:
        return 0, ""
    pause = 0.05
    while True:
        try:
            with memoryview(data) as view:
                write_all(fd, view[stored:], stored)
            os.fsync(fd)
            return len(data), ""
        except OSError as error:
            # After a failed fsync the kernel may have dropped earlier writes: write everything again.
            stored = 0
            if time.monotonic() >= deadline:
                return _what_is_there(fd, len(data)), f"{os.strerror(error.errno or 0)} while its output was stored"
        time.sleep(pause)
        pause = min(1.0, pause * 2)


def _what_is_there(fd: int, wanted: int) -> int:
    try:
        os.fsync(fd)
        return min(os.fstat(fd).st_size, wanted)
    except OSError:
        return 0
