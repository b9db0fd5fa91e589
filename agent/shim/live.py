"""What a command says while it runs, both streams in the order in which it came: the last of it, for whoever follows.

The shim appends records to segments `live.0`, `live.1`, …, each at most SEGMENT bytes long unless one record is longer.
Only the last two
segments exist. A segment changes at its end only, and one that a reader has opened stays readable for it, so nobody
waits for anybody.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from struct import Struct

SEGMENT = 256 * 1024
KEPT_BYTES = 2 * SEGMENT
HEADER = Struct("<QQqIB")
"""order (1, 2, … over both streams), offset of the first byte in its stream, wall-clock ms, length, stream."""
STDOUT, STDERR = 1, 2
"""Numbers as in proto/command.proto."""
PREFIX = "live."


def segment(directory: Path, number: int) -> Path:
    return directory / f"{PREFIX}{number}"


class LiveLog:
    """The shim's end. A disk that refuses it ends the log for good: what follows is in the result only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd: int | None = None
        self._number = -1
        self._size = 0
        self._order = 0
        self._failed = False

    def add(self, stream: int, total: int, data: memoryview) -> None:
        """data: the newest bytes of the stream, which with them is `total` long. More than a segment holds is cut at
        its beginning."""
        if self._failed or not data:
            return
        data = data[-(SEGMENT - HEADER.size) :]
        self._order += 1
        header = HEADER.pack(self._order, total - len(data), time.time_ns() // 1_000_000, len(data), stream)
        try:
            if self._fd is None or self._size + HEADER.size + len(data) > SEGMENT:
                self._next()
            assert self._fd is not None
            written = os.writev(self._fd, (header, data))
        except OSError:
            self._failed = True
        else:
            self._size += written
            # a reader waits for the rest of a record that is cut short, and the result tells what it would have been
            self._failed = written < HEADER.size + len(data)

    def _next(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._number += 1
        self._fd = os.open(
            segment(self._directory, self._number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        self._size = 0
        if self._number >= 2:
            segment(self._directory, self._number - 2).unlink(missing_ok=True)


def numbers(directory: Path) -> list[int]:
    """Of the segments there are, oldest first; none without the directory."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(
        int(name[len(PREFIX) :]) for name in names if name.startswith(PREFIX) and name[len(PREFIX) :].isdigit()
    )


def remove(directory: Path) -> None:
    """The command has ended, and the result has it all."""
    for number in numbers(directory):
        with contextlib.suppress(FileNotFoundError):
            segment(directory, number).unlink()
