"""The system calls that make files durable, in one object, so that tests can make each call fail."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """Durable file operations."""

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`.

        Raises:
            OSError: Part of the data may have been written.
        """
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, fd: int) -> None:
        """Make the file's data durable.

        Raises:
            OSError: The state of everything written since the last successful call is unknown.
        """
        os.fdatasync(fd)

    def allocate(self, fd: int, size: int) -> None:
        """Reserve blocks for the first `size` bytes; new blocks read as zeros.

        Raises:
            OSError: ENOSPC, for example.
        """
        os.posix_fallocate(fd, 0, size)

    def sync_directory(self, path: Path) -> None:
        """Make the entries of a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file; durable on return.

        Raises:
            OSError: The rename failed or may not be durable.
        """
        os.replace(source, target)
        self.sync_directory(target.parent)

    def write_file(self, path: Path, data: bytes, mode: int = 0o600) -> None:
        """Write a whole file atomically; durable on return.

        Raises:
            OSError: The old file, if there was one, may be unchanged.
        """
        new = path.with_name(path.name + ".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            self.write(fd, data, 0)
            self.sync(fd)
        finally:
            os.close(fd)
        self.replace(new, path)
