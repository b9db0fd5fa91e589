"""An exclusive lock on a file. The file holds the process id of the last holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockHeld(Exception):
    """Another process holds the lock.

    Attributes:
        holder: Content of the file: the holder's process id, or empty text.
    """

    def __init__(self, path: Path, holder: str) -> None:
        """Store the holder and build the message."""
        self.holder = holder
        super().__init__(f"{path} is locked by process {holder or 'unknown'}")


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Hold the lock for the duration of the block and yield the file's descriptor.

    The file is created if it is missing. The kernel releases the lock when the process ends in any way; programs that
    the process executes do not inherit it.

    Raises:
        LockHeld: Another process holds the lock.
        OSError: The file cannot be opened, or it is a symbolic link.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(path, os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
