"""A connection that has no session yet."""

from __future__ import annotations

from collections.abc import Callable


class PendingConnection:
    """A connection before its Hello, or without one.

    Attributes:
        goaway: tells the peer that no further call is accepted.
        closes_at: monotonic time at which it is closed, unless it becomes an agent's; infinite once it is one.
        is_probe: it asks for health or reflection.
    """

    __slots__ = ("closes_at", "goaway", "is_probe")

    def __init__(self, goaway: Callable[[], None], closes_at: float) -> None:
        self.goaway, self.closes_at = goaway, closes_at
        self.is_probe = False
