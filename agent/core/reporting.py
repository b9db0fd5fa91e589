"""Selects the results to send, within the limit of unacknowledged results."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.model import Key


class Reporting:
    """Results of one session, first in, first out. Nothing is kept between sessions."""

    def __init__(self) -> None:
        """Start without a session."""
        self._window: int | None = 0
        self._waiting: dict[Key, None] = {}
        self._unacked: dict[Key, None] = {}

    def open(self, window: int) -> None:
        """Start a session.

        Args:
            window: Number of results that may be unacknowledged at the same time; 0 means no limit.
        """
        self.close()
        self._window = window or None

    def close(self) -> None:
        """End the session."""
        self._window = 0
        self._waiting.clear()
        self._unacked.clear()

    def grant(self, results: int) -> None:
        """Allow this many more unacknowledged results."""
        if self._window is not None:
            self._window += results

    def offer(self, key: Key) -> None:
        """Queue a result that is sent once in this session."""
        if key not in self._unacked:
            self._waiting[key] = None

    def resend(self, key: Key) -> None:
        """Queue a result that the server asked for, even if it was sent before."""
        self._unacked.pop(key, None)
        self._waiting[key] = None

    def discard(self, key: Key) -> None:
        """Remove a result that need not be sent any more."""
        self._waiting.pop(key, None)
        self._unacked.pop(key, None)

    def due(self) -> Iterator[Key]:
        """Yield the results that may be sent now; each one counts as sent."""
        while self._waiting and (self._window is None or len(self._unacked) < self._window):
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._unacked[key] = None
            yield key
