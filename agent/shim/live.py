"""Live output: both streams of a running command in order of arrival, for readers that follow it.

The shim appends records to segments `live.0`, `live.1`, …, each at most SEGMENT bytes long unless one record is longer.
Only the last two segments exist. A segment is only appended to, and a reader can finish an open segment after it was
deleted, so neither side waits for the other.
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
"""Order number (1, 2, … over both streams), offset of the first byte in its stream, wall-clock ms, length, stream."""
STDOUT, STDERR = 1, 2
"""Stream numbers as in proto/command.proto."""
PREFIX = "live."


def segment(directory: Path, number: int) -> Path:
    return directory / f"{PREFIX}{number}"


class LiveLog:
    """Writes the segments. If the disk refuses a write, the log ends; the result still contains the output."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd: int | None = None
        self._number = -1
        self._size = 0
        self._order = 0
        self._failed = False

    def add(self, stream: int, total: int, data: memoryview) -> None:
        """Append a record.

        Args:
            stream: STDOUT or STDERR.
            total: Length of the stream including `data`.
            data: The newest bytes. If they exceed one segment, their beginning is cut off.
        """
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
            # after a partial write the log ends; a reader waits for the rest, and the result contains the output
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
    """Return the numbers of the existing segments, oldest first; empty if the directory does not exist."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(
        int(name[len(PREFIX) :]) for name in names if name.startswith(PREFIX) and name[len(PREFIX) :].isdigit()
    )


def remove(directory: Path) -> None:
    """Delete all segments, because the command has ended and the result contains its output."""
    for number in numbers(directory):
        with contextlib.suppress(FileNotFoundError):
            segment(directory, number).unlink()
