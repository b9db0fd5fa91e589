"""One server per data directory: a second one would take the first one's tasks for its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InUse(Exception):
    """Another server runs on this data directory. `holder`: what it wrote into the lock file, its process id."""

    def __init__(self, data: Path, holder: str) -> None:
        self.data, self.holder = data, holder
        super().__init__(
            f"{data}: another server uses this data directory{f' (process {holder})' if holder.isdigit() else ''}"
        )


@contextmanager
def locked(data: Path) -> Iterator[str]:
    """Hold DATA/server.lock. The kernel lets go of it when the process ends, however it ends. Raises InUse, OSError.

    Yields the lock's place: this boot of this kernel, and the file. Whoever held a lock at the same place holds it no
    more.
    """
    descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(data, os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        boot, status = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(), os.fstat(descriptor)
        yield f"{boot}:{status.st_dev}:{status.st_ino}"
    finally:
        os.close(descriptor)
