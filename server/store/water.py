"""Marks between which something stays as it was: full above the high one, and until it is below the low one."""

from __future__ import annotations

import trio


class Water:
    """Of rows and of bytes: either one fills it, both must have gone down."""

    def __init__(self, high: int, low: int, high_bytes: int, low_bytes: int) -> None:
        self._high, self._low, self._high_bytes, self._low_bytes = high, low, high_bytes, low_bytes
        self._room = trio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    def stands(self, rows: int, size: int) -> None:
        """So much is in it now."""
        if rows >= self._high or size >= self._high_bytes:
            if self._room.is_set():
                self._room = trio.Event()
        elif rows <= self._low and size <= self._low_bytes:
            self._room.set()

    def open(self) -> None:
        """Nobody is to wait any more."""
        self._room.set()

    async def wait_room(self) -> None:
        """Return when it is not full."""
        while self.full:
            await self._room.wait()
