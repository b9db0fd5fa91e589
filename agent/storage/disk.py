"""The few calls by which files become durable, in one object, so that tests can make each of them fail."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    def write(self, fd: int, data: bytes, offset: int) -> None:
        """All of data at offset. Raises OSError."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, fd: int) -> None:
        """Raises OSError; what was written since the last success is then in an unknown state."""
        os.fdatasync(fd)

    def allocate(self, fd: int, size: int) -> None:
        """Blocks for the first size bytes; those that are new read as zeros. Raises OSError, e.g. ENOSPC."""
        os.posix_fallocate(fd, 0, size)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, source: Path, target: Path) -> None:
        """Durable when it returns. Raises OSError."""
        os.replace(source, target)
        self.sync_directory(target.parent)

    def write_file(self, path: Path, data: bytes, mode: int = 0o600) -> None:
        """A whole file, or none of it, durable when it returns. Raises OSError."""
        new = path.with_name(path.name + ".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            self.write(fd, data, 0)
            self.sync(fd)
        finally:
            os.close(fd)
        self.replace(new, path)
