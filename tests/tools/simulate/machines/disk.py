"""A disk that loses unsynced data: files with a cached and a durable side, a full disk, errors, and flipped bytes.

agent/storage/journal.py runs unmodified on it: `Disk` replaces agent.storage.disk.Disk, `Path` replaces pathlib.Path,
and `OS` replaces the module `os`.
"""

from __future__ import annotations

import errno
import os
from random import Random
from types import SimpleNamespace
from typing import Protocol


class File:
    """A file. cached: what a process reads. durable: what a loss of power leaves. unsynced: writes since
    the last sync.
    """

    def __init__(self) -> None:
        self.cached, self.durable = bytearray(), bytearray()
        self.unsynced: list[tuple[int, bytes]] = []

    def sync(self) -> None:
        self.durable[:] = self.cached
        self.unsynced.clear()

    def lose_power(self, rng: Random) -> None:
        """Keep, drop or tear each unsynced write."""
        for offset, data in self.unsynced:
            kept = rng.choice((0, 0, len(data), rng.randint(0, len(data))))
            self.durable[offset : offset + kept] = data[:kept]
        self.unsynced.clear()
        self.cached[:] = self.durable


class Points(Protocol):
    """Places where the machine may die; they raise an exception that the caller never handles."""

    def point(self, name: str) -> None: ...


class Disk:
    """The disk of one agent's state directory. free: bytes left. syncs_to_fail, writes_to_fail: number of failures to
    come.
    """

    SIZE = 1 << 20

    def __init__(self, rng: Random, points: Points) -> None:
        self.rng, self.points = rng, points
        self.names: dict[str, File] = {}
        self.free = self.SIZE
        self.syncs_to_fail = self.writes_to_fail = 0
        self._renamed: tuple[str, File | None] | None = None

    # --- what agent.storage.disk.Disk does
    # ---------------------------------------------------------------------------------------

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self.points.point("journal.before_write")
        if self.writes_to_fail:
            self.writes_to_fail -= 1
            raise OSError(errno.EIO, "input/output error")
        file = OS.files[fd]
        file.cached[offset : offset + len(data)] = data
        file.unsynced.append((offset, bytes(data)))
        self.points.point("journal.after_write")

    def sync(self, fd: int) -> None:
        file = OS.files[fd]
        if self.syncs_to_fail:
            self.syncs_to_fail -= 1
            # the kernel has marked the pages clean: a second sync succeeds without writing them
            file.unsynced.clear()
            raise OSError(errno.EIO, "input/output error")
        file.sync()
        self.points.point("journal.after_sync")

    def allocate(self, fd: int, size: int) -> None:
        file = OS.files[fd]
        more = size - len(file.cached)
        if more > self.free:
            raise OSError(errno.ENOSPC, "no space left on device")
        if more > 0:
            self.free -= more
            file.cached.extend(bytes(more))
            file.durable.extend(bytes(size - len(file.durable)))

    def replace(self, source: Path, target: Path) -> None:
        self.points.point("journal.before_rename")
        old = self.names.get(target.name)
        self.names[target.name] = self.names.pop(source.name)
        self._renamed = target.name, old
        self.points.point("journal.after_rename")
        self._renamed = None  # the directory is synced
        if old is not None:
            self.free += len(old.cached)

    # --- what happens to it
    # ----------------------------------------------------------------------------------------------

    def lose_power(self) -> None:
        if self._renamed is not None and self._renamed[1] is not None and self.rng.random() < 0.5:
            self.names[self._renamed[0]] = self._renamed[1]
        self._renamed = None
        for file in self.names.values():
            file.lose_power(self.rng)

    def damage(self, name: str) -> bool:
        """Flip a byte or cut the file, near its last records or anywhere; False if there is nothing to damage."""
        file = self.names.get(name)
        used = len(bytes(file.durable).rstrip(b"\0")) if file is not None else 0
        if file is None or not used:
            return False
        position = max(0, used - 1 - self.rng.choice((self.rng.randrange(used), self.rng.randrange(min(used, 200)))))
        if self.rng.random() < 0.7:
            file.durable[position] ^= 1 << self.rng.randrange(8)
        else:
            del file.durable[position:]
        file.cached[:] = file.durable
        file.unsynced.clear()
        return True


class Path:
    """The part of pathlib.Path that the journal uses."""

    def __init__(self, disk: Disk, name: str) -> None:
        self.disk, self.name = disk, name

    def __str__(self) -> str:
        return self.name

    def with_name(self, name: str) -> Path:
        return Path(self.disk, name)

    def exists(self) -> bool:
        return self.name in self.disk.names

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=len(self._file().cached))

    def unlink(self) -> None:
        self.disk.free += len(self._file().cached)
        del self.disk.names[self.name]

    def _file(self) -> File:
        try:
            return self.disk.names[self.name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", self.name) from None


class _OS:
    """The part of the module os that the journal uses; descriptors are shared by all machines."""

    O_RDONLY, O_RDWR, O_CREAT, O_TRUNC, O_CLOEXEC = os.O_RDONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_CLOEXEC

    def __init__(self) -> None:
        self.files: dict[int, File] = {}
        self._next = 3

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        file = path.disk.names.get(path.name)
        if file is None:
            if not flags & self.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "no such file", path.name)
            file = path.disk.names[path.name] = File()
        elif flags & self.O_TRUNC:
            path.disk.free += len(file.cached)
            file = path.disk.names[path.name] = File()
        fd, self._next = self._next, self._next + 1
        self.files[fd] = file
        return fd

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return bytes(self.files[fd].cached[offset : offset + size])

    def fstat(self, fd: int) -> SimpleNamespace:
        return SimpleNamespace(st_size=len(self.files[fd].cached))

    def close(self, fd: int) -> None:
        del self.files[fd]

    def forget(self) -> None:
        """Drop all descriptors of all machines, between two runs."""
        self.files.clear()
        self._next = 3


OS = _OS()
