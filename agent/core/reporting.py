"""Which results are to be sent, and how many of them may be unacknowledged at once."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.model import Key


class Reporting:
    """Results of one session, first in, first out. Between sessions nothing is due and nothing is remembered."""

    def __init__(self) -> None:
        self._window: int | None = 0
        self._waiting: dict[Key, None] = {}
        self._unacked: dict[Key, None] = {}

    def open(self, window: int) -> None:
        """window: results that may be unacknowledged at once; 0: no limit."""
        self.close()
        self._window = window or None

    def close(self) -> None:
        self._window = 0
        self._waiting.clear()
        self._unacked.clear()

    def grant(self, results: int) -> None:
        if self._window is not None:
            self._window += results

    def offer(self, key: Key) -> None:
        """This one is to be sent in this session, once."""
        if key not in self._unacked:
            self._waiting[key] = None

    def again(self, key: Key) -> None:
        """This one was asked for: it is sent also if it was sent before."""
        self._unacked.pop(key, None)
        self._waiting[key] = None

    def settle(self, key: Key) -> None:
        """This one needs no sending any more."""
        self._waiting.pop(key, None)
        self._unacked.pop(key, None)

    def due(self) -> Iterator[Key]:
        """Those that may be sent now; each is counted as sent."""
        while self._waiting and (self._window is None or len(self._unacked) < self._window):
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._unacked[key] = None
            yield key
