"""Memory held for peers that have no session yet, over all connections of a poller. Not compiled: it is seldom used."""

from __future__ import annotations

from typing import Any


class PreSessionMemory:
    """Bytes per connection. limit: of bytes in all. total: bytes now."""

    __slots__ = ("_held", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit, self.total = limit, 0
        self._held: dict[Any, int] = {}

    def record(self, conn: Any, size: int) -> None:
        """Record how many bytes are held for this connection now."""
        self.total += size - self._held.get(conn, 0)
        if size:
            self._held[conn] = size
        else:
            self._held.pop(conn, None)

    def connection_to_drop(self) -> Any:
        """Return the connection to drop to get below the limit, or None.

        It is the oldest of those that hold at least an equal share. A peer that sends everything at once is done
        soon, and a peer with few bytes is not dropped, however long it waits.
        """
        if self.total <= self.limit:
            return None
        share = self.limit / len(self._held)
        return next(conn for conn, size in self._held.items() if size >= share)
