"""The lock on a data directory. Only one server may use it, because a second one would run the first one's tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proto.common.lock_file import LockHeld, lock_file

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Not readable with ProcSubset=pid in the server's unit."""


class InUse(Exception):
    """Another server uses this data directory.

    Attributes:
        data: The data directory.
        holder: Process id of that server, or empty text.
    """

    def __init__(self, data: Path, holder: str) -> None:
        self.data = data
        self.holder = holder
        process = f" (process {holder})" if holder.isdigit() else ""
        super().__init__(f"{data}: another server uses this data directory{process}")


@contextmanager
def locked(data: Path) -> Iterator[str]:
    """Hold DATA/server.lock for the duration of the block.

    Yields:
        The lock's place: the boot id of this kernel and the file's device and inode. An earlier holder of a lock at
        the same place cannot run any more. Empty text if the boot id cannot be read.

    Raises:
        InUse: Another server holds the lock.
        OSError: The lock file cannot be opened.
    """
    try:
        with lock_file(data / "server.lock") as descriptor:
            yield _place(descriptor)
    except LockHeld as held:
        raise InUse(data, held.holder) from None


def _place(descriptor: int) -> str:
    try:
        boot = BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    status = os.fstat(descriptor)
    return f"{boot}:{status.st_dev}:{status.st_ino}" if boot else ""
