"""Files that are complete or absent, and that survive a loss of power once the call has returned."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

RESERVE_BYTES = 16_384


def write_all(fd: int, data: bytes | bytearray | memoryview, offset: int = 0) -> None:
    """Write all bytes at this offset.

    Raises:
        OSError: Part of the data may have been written.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reserve(directory: Path, name: str) -> None:
    """Reserve RESERVE_BYTES of disk space for a file that `publish` will write.

    Raises:
        OSError: ENOSPC, for example.
    """
    fd = os.open(directory / f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    finally:
        os.close(fd)


def write_prepared(directory: Path, name: str, record: msgspec.Struct, *, sync: bool = True) -> None:
    """Write `<name>.tmp` into its reserved space.

    Raises:
        OSError: The file cannot be written.
    """
    data = msgspec.json.encode(record)
    fd = os.open(directory / f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Truncate only after writing: truncating first would release the reserved blocks.
        write_all(fd, data)
        os.ftruncate(fd, len(data))
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def rename_prepared(directory: Path, name: str) -> None:
    """Give a prepared file its name."""
    os.rename(directory / f"{name}.tmp", directory / name)


def publish(directory: Path, name: str, record: msgspec.Struct) -> None:
    """Write a file durably: temporary file, fsync, rename, fsync of the directory.

    Raises:
        OSError: The file may be missing or not durable.
    """
    write_prepared(directory, name, record)
    rename_prepared(directory, name)
    sync_directory(directory)


def claim(directory: Path, name: str, record: msgspec.Struct) -> bool:
    """Create a file that is never half written.

    Returns:
        True if this process created it, False if it existed already.

    Raises:
        OSError: The file cannot be created.
    """
    temporary = directory / f"{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, msgspec.json.encode(record))
        os.link(temporary, directory / name)
    except FileExistsError:
        return False
    finally:
        os.close(fd)
        os.unlink(temporary)
    return True


def retry_for(seconds: float, action: Callable[[], T]) -> T:
    """Repeat the action while it raises OSError.

    Raises:
        OSError: The last error, if the action still fails after `seconds`.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        try:
            return action()
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(1.0, pause * 2)
