"""What is held for peers that have no session yet, over all connections of a hub. Not compiled: few bytes wait for
long."""

from __future__ import annotations

from typing import Any


class PreSessionMemory:
    """limit: of bytes in all. total: bytes now."""

    __slots__ = ("_held", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit, self.total = limit, 0
        self._held: dict[Any, int] = {}

    def record(self, conn: Any, size: int) -> None:
        """So many bytes are held for this connection now."""
        self.total += size - self._held.get(conn, 0)
        if size:
            self._held[conn] = size
        else:
            self._held.pop(conn, None)

    def connection_to_drop(self) -> Any:
        """Who is to make room, None while there is no need: of those that hold an equal share of the limit or more, the
        one that waits longest.

        Who sends what it has to send is done soon, and few bytes are no reason to be cut off, however long they wait.
        """
        if self.total <= self.limit:
            return None
        share = self.limit / len(self._held)
        return next(conn for conn, size in self._held.items() if size >= share)
