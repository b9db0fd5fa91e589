"""Reads the output of one running execution in order, from given offsets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.shim import records
from agent.shim.live import HEADER, STDERR, STDOUT, numbers, segment

HEADS = {STDOUT: records.STDOUT_HEAD, STDERR: records.STDERR_HEAD}
BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A contiguous part of one output stream.

    Attributes:
        stream: 1 for stdout, 2 for stderr.
        offset: Offset of the first byte in the stream.
        order: Order number of the first record, 0 if the record no longer exists.
        at_ms: Wall-clock time of the first record, 0 if the record no longer exists.
    """

    stream: int
    offset: int
    data: bytes
    order: int
    at_ms: int


class OutputReader:
    """Reads the files that the shim writes to the execution's directory, which may not exist yet.

    Output that is no longer in the log is read from the head files, first stdout, then stderr. Output that is in
    neither is skipped; the offset of the next piece shows the gap. All methods may raise OSError.
    """

    def __init__(self, directory: Path, stdout: int, stderr: int) -> None:
        self._directory = directory
        self._at = {STDOUT: stdout, STDERR: stderr}
        self._heads: list[int] = []
        self._fd: int | None = None
        self._number = -1
        self._position = 0
        self._block = b""
        self._from = 0

    def next(self, limit: int) -> Piece | None:
        """Return at most `limit` contiguous bytes of one stream, or None if there is no new output."""
        while True:
            if self._fd is None and not self._open():
                return None
            while self._heads:
                piece = self._head(self._heads[0], limit)
                if piece is not None:
                    return piece
                self._heads.pop(0)
            piece = self._records(limit)
            if piece is not None:
                return piece
            if not self._next_segment():
                return None

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> bool:
        return any(number > self._number and self._open_segment(number) for number in numbers(self._directory))

    def _open_segment(self, number: int) -> bool:
        """Open a segment; False if it has been removed."""
        try:
            fd = os.open(segment(self._directory, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        if number != self._number + 1:
            self._heads = [STDOUT, STDERR]
        self._fd, self._number, self._position, self._block, self._from = fd, number, 0, b"", 0
        return True

    def _next_segment(self) -> bool:
        """Open the next segment. It exists only after the present one is complete."""
        if not any(number > self._number for number in numbers(self._directory)):
            return False
        if self._peek(self._position, HEADER.size + 1):
            return True  # written after the last read and before the next segment was created
        return self._open()

    def _head(self, stream: int, limit: int) -> Piece | None:
        try:
            with open(self._directory / HEADS[stream], "rb") as file:
                file.seek(self._at[stream])
                data = file.read(limit)
        except FileNotFoundError:
            return None
        return self._piece(stream, self._at[stream], data, 0, 0) if data else None

    def _piece(self, stream: int, offset: int, data: bytes, order: int, at_ms: int) -> Piece:
        self._at[stream] = offset + len(data)
        return Piece(stream, offset, data, order, at_ms)

    def _records(self, limit: int) -> Piece | None:
        parts: list[bytes] = []
        size = first = stream = order = at_ms = 0
        while size < limit:
            head = self._peek(self._position, HEADER.size)
            if len(head) < HEADER.size:
                break
            number, offset, when, length, which = HEADER.unpack(head)
            end = offset + length
            begin = max(offset, self._at[which])
            if begin >= end:
                self._position += HEADER.size + length
                continue
            if parts and (which != stream or begin != first + size):
                break
            wanted = min(end - begin, limit - size)
            data = self._peek(self._position + HEADER.size + begin - offset, wanted)
            if not parts:
                stream, first, order, at_ms = which, begin, number, when
            if data:
                parts.append(data)
                size += len(data)
                self._at[which] = begin + len(data)
            if len(data) < wanted:
                break
            if begin + wanted == end:
                self._position += HEADER.size + length
        return Piece(stream, first, b"".join(parts), order, at_ms) if parts else None

    def _peek(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes at this position; fewer at the end of the file."""
        assert self._fd is not None
        start = position - self._from
        if not 0 <= start <= start + size <= len(self._block):
            self._block, self._from, start = os.pread(self._fd, max(size, BLOCK), position), position, 0
        return self._block[start : start + size]
