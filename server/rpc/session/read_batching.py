"""How eagerly the reader reads: at once while little is said, together while many say a little each, seldom while
nobody says anything."""

from __future__ import annotations

import math

AWAKE, NAP = 1.0, 0.03
"""Seconds. When for AWAKE nothing but heartbeats came and nothing left, they are read together, every NAP: waking up
for each of them
would be most of what ten thousand idle agents cost. As soon as something is to leave, the nap is over."""
REST, SMALL, CROWD, MEMORY = 0.004, 32, 15.0, 0.1
"""A slice of fewer than SMALL rows costs hardly more than one row: a call of the engine, a unit for the writer, two
turns of the loop. When
more than about a hundred of them come in a second (CROWD, a count that halves every MEMORY seconds), what comes within
REST seconds is read
together. One command at a time never gets there, and slices of a burst are not small."""


class ReadBatcher:
    """Times are seconds of one clock that does not go back."""

    __slots__ = ("_awake", "_crowd", "_looked", "_small")

    def __init__(self) -> None:
        self._awake = self._crowd = self._looked = 0.0
        self._small = False

    def rest(self, now: float) -> float:
        """Seconds to wait before the next slice is read, although something has come."""
        return REST if self._small and self._crowded(now) > CROWD else 0.0

    def read(self, rows: int, only_heartbeats: bool, now: float) -> None:
        """A slice has been read."""
        self._small = rows < SMALL
        if only_heartbeats:
            return
        self.sent(now)
        if self._small:
            self._crowd, self._looked = self._crowded(now) + 1.0, now

    def sent(self, now: float) -> None:
        """Something has left: answers will come."""
        self._awake = now + AWAKE

    def idle(self, now: float) -> bool:
        """Whether only heartbeats have come for a while."""
        return now >= self._awake

    def _crowded(self, now: float) -> float:
        return self._crowd * math.exp2((self._looked - now) / MEMORY)
