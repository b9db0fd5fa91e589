"""Files that are whole or absent, and that survive a loss of power once the call has returned."""

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
    """Raises OSError; what was written until then stays."""
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
    """Takes RESERVE_BYTES of the disk for a file that `publish` will write. Raises OSError (ENOSPC among others)."""
    fd = os.open(directory / f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    finally:
        os.close(fd)


def prepare(directory: Path, name: str, record: msgspec.Struct, *, sync: bool = True) -> None:
    """Writes `<name>.tmp` over what is reserved for it. Raises OSError."""
    data = msgspec.json.encode(record)
    fd = os.open(directory / f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Written in place and cut only afterwards: cutting first would give the reserved blocks away.
        write_all(fd, data)
        os.ftruncate(fd, len(data))
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def reveal(directory: Path, name: str) -> None:
    """What was prepared gets its name."""
    os.rename(directory / f"{name}.tmp", directory / name)


def publish(directory: Path, name: str, record: msgspec.Struct) -> None:
    """Durable when it returns: tmp, fsync, rename, fsync of the directory. Raises OSError."""
    prepare(directory, name, record)
    reveal(directory, name)
    sync_directory(directory)


def claim(directory: Path, name: str, record: msgspec.Struct) -> bool:
    """True: the file is ours. False: somebody else's was there first. Never half written. Raises OSError."""
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


def insist(seconds: float, action: Callable[[], T]) -> T:
    """Does it again and again while the system refuses it. Raises the last OSError when it still does after
    `seconds`."""
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
