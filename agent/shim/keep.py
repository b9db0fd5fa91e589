"""The kept part of one output stream: beginning, end, length and SHA-256, in constant memory."""

from __future__ import annotations

from hashlib import sha256


class Keeper:
    """Keeps the first `head_bytes`, and the last `tail_bytes` of what follows the head."""

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self.total_bytes = 0
        self.head = bytearray()
        self._head_limit = head_bytes
        self._tail_limit = tail_bytes
        self._ring = bytearray()
        self._oldest = 0
        self._sha256 = sha256()

    def feed(self, chunk: memoryview) -> None:
        self.total_bytes += len(chunk)
        self._sha256.update(chunk)
        room = self._head_limit - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        if chunk and self._tail_limit:
            self._keep_last(chunk)

    def _keep_last(self, chunk: memoryview) -> None:
        limit = self._tail_limit
        if len(chunk) >= limit:
            self._ring[:] = chunk[len(chunk) - limit :]
            self._oldest = 0
            return
        room = limit - len(self._ring)
        self._ring += chunk[:room]
        chunk = chunk[room:]
        first = min(len(chunk), limit - self._oldest)
        self._ring[self._oldest : self._oldest + first] = chunk[:first]
        self._ring[: len(chunk) - first] = chunk[first:]
        self._oldest = (self._oldest + len(chunk)) % limit

    @property
    def tail(self) -> bytes:
        return bytes(self._ring[self._oldest :] + self._ring[: self._oldest])

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of every byte fed."""
        return self._sha256.hexdigest()
