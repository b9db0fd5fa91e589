"""A connection that is not an agent's yet, and may never be."""

from __future__ import annotations

from collections.abc import Callable


class PendingConnection:
    """A connection. until: when it is closed, unless it becomes an agent's before. asks: for health or reflection."""

    __slots__ = ("asks", "goaway", "until")

    def __init__(self, goaway: Callable[[], None], until: float) -> None:
        self.goaway, self.until = goaway, until
        self.asks = False
