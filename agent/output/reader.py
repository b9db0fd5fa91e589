"""Follows one execution's output while it runs: from given offsets on, in order, in pieces."""

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
    """stream: 1 stdout, 2 stderr. offset: of its first byte. order, at_ms: of the record it begins with, 0 where that
    is gone."""

    stream: int
    offset: int
    data: bytes
    order: int
    at_ms: int


class Follower:
    """Reads what the shim leaves in the execution's directory, which need not exist yet.

    What has left the log already is taken from the streams' heads as far as they reach (first stdout, then stderr);
    what is in neither is
    skipped, which shows in the next piece's offset. Raises OSError from its methods.
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
        """At most `limit` bytes of one stream, as many as there are without a break; None when nothing new is there."""
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
            if not self._move_on():
                return None

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> bool:
        return any(number > self._number and self._take(number) for number in numbers(self._directory))

    def _take(self, number: int) -> bool:
        """False: it has been removed meanwhile."""
        try:
            fd = os.open(segment(self._directory, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        if number != self._number + 1:
            self._heads = [STDOUT, STDERR]
        self._fd, self._number, self._position, self._block, self._from = fd, number, 0, b"", 0
        return True

    def _move_on(self) -> bool:
        """To the next segment, which is there only when this one has got all that it ever will."""
        if not any(number > self._number for number in numbers(self._directory)):
            return False
        if self._peek(self._position, HEADER.size + 1):
            return True  # written after we had looked, before the next one was made
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
        """At most `size` bytes from there: fewer at the end of what has been written."""
        assert self._fd is not None
        start = position - self._from
        if not 0 <= start <= start + size <= len(self._block):
            self._block, self._from, start = os.pread(self._fd, max(size, BLOCK), position), position, 0
        return self._block[start : start + size]
