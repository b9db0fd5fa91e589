"""Rebuilds the contents of a disk after a power failure at any time, from the log that fault.c has written.

The rules are those of POSIX. A file's bytes and length are safe up to its last fsync or fdatasync. The existence or
renaming of a name is safe up to the last fsync of its directory. Of later changes nothing may be left, or any part:
writes survive in whole sectors and in any order.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<cIQQ")
SECTOR = 512
CLAIMS = "claims"
"""A file with this name is not on the failing disk: its contents were confirmed to another party."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. kind: w(rite), s(ync), t(runcate), r(ename: data is the new name), u(nlink)."""

    kind: str
    path: str
    offset: int
    data: bytes


def read_log(path: Path) -> Iterator[Step]:
    log = path.read_bytes()
    place = 0
    while place < len(log):
        kind, name, offset, length = _HEAD.unpack_from(log, place)
        place += _HEAD.size
        text = log[place : place + name].decode()
        place += name
        size = length if kind in (b"w", b"r") else 0
        yield Step(kind.decode(), text, offset, log[place : place + size])
        place += size


@dataclass
class File:
    safe: bytearray = field(default_factory=bytearray)
    loose: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.loose:
            _apply(self.safe, step)
        self.loose.clear()

    def left(self, rng: random.Random | None) -> bytes:
        """Return what is left of the file.

        Args:
            rng: None for the worst case, in which nothing unsynced is left; else any part of it is.
        """
        data = bytearray(self.safe)
        for step in self.loose if rng is not None else ():
            assert rng is not None
            if rng.random() < 0.5:
                continue
            cut = (
                rng.randrange(len(step.data) // SECTOR + 1) * SECTOR
                if step.kind == "w" and rng.random() < 0.5
                else len(step.data)
            )
            _apply(data, Step(step.kind, step.path, step.offset, step.data[:cut]))
        return bytes(data)


def _apply(data: bytearray, step: Step) -> None:
    if step.kind == "t":
        del data[step.offset :]
        data.extend(bytes(step.offset - len(data)))
        return
    data.extend(bytes(max(0, step.offset - len(data))))
    data[step.offset : step.offset + len(step.data)] = step.data


class Disk:
    """The disk. names: as the process sees them. safe_names: after a power failure."""

    def __init__(self) -> None:
        self.names: dict[str, File] = {}
        self.safe_names: dict[str, File] = {}
        self.claims = bytearray()
        self.syncs = 0

    def take(self, step: Step) -> None:
        if os.path.basename(step.path) == CLAIMS:
            self.claims += step.data
        elif step.path.endswith(" (deleted)"):
            return
        elif step.kind in "wt":
            self.names.setdefault(step.path, File()).loose.append(step)
        elif step.kind == "r":
            if step.path in self.names:
                self.names[step.data.decode()] = self.names.pop(step.path)
        elif step.kind == "u":
            self.names.pop(step.path, None)
        else:
            self.syncs += 1
            self._sync(step.path)

    def _sync(self, path: str) -> None:
        if path in self.names:
            self.names[path].sync()
            return
        for name in {*self.names, *self.safe_names}:  # a directory
            if os.path.dirname(name) == path:
                if name in self.names:
                    self.safe_names[name] = self.names[name]
                else:
                    self.safe_names.pop(name)

    def fail(self, root: str, into: Path, rng: random.Random | None) -> list[str]:
        """Write what is left of `root` below `into`; return the lines of CLAIMS."""
        names = self.safe_names
        if rng is not None and rng.random() < 0.5:
            names = self.names  # the directory has got there as well
        for name, file in names.items():
            target = into / os.path.relpath(name, root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.left(rng))
        return self.claims.decode().splitlines()


def failures(log: Path, points: int, seed: int) -> Iterator[tuple[Disk, random.Random | None]]:
    """Yield the disk at `points` times, evenly over the log and at its end: each as the worst case and as one random
    case.
    """
    steps = list(read_log(log))
    wanted = {round(number * (len(steps) - 1) / (points - 1)) for number in range(points)} if steps else set()
    disk, rng = Disk(), random.Random(seed)
    for number, step in enumerate(steps):
        disk.take(step)
        if number in wanted:
            yield disk, None
            yield disk, rng
