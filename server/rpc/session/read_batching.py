"""Decides how long the reader waits before reading, to batch many small messages without delaying single ones."""

from __future__ import annotations

import math

ACTIVE_FOR, IDLE_DELAY = 1.0, 0.03
"""Seconds. When for ACTIVE_FOR only heartbeats were received and nothing was sent, input is read every IDLE_DELAY.

Waking up for each heartbeat would be most of the cost of ten thousand idle agents. The wait ends as soon as something
is to be sent.
"""
BATCH_DELAY, SMALL_SLICE, CROWDED, HALF_LIFE = 0.004, 32, 15.0, 0.1
"""When slices are batched.

A slice of fewer than SMALL_SLICE rows costs hardly more than one row: a call of the engine, a unit for the writer, two
turns of the loop. When more than about a hundred of them arrive per second (CROWDED, a count that halves every
HALF_LIFE seconds), input is read every BATCH_DELAY seconds. One command at a time never reaches that rate, and slices
of a burst are not small.
"""


class ReadBatcher:
    """Chooses the delay before each read. All times are seconds of one monotonic clock."""

    __slots__ = ("_active_until", "_counted_at", "_last_was_small", "_small_slices")

    def __init__(self) -> None:
        self._active_until = self._small_slices = self._counted_at = 0.0
        self._last_was_small = False

    def delay(self, now: float) -> float:
        """Seconds to wait before the next slice is read although input is available."""
        return BATCH_DELAY if self._last_was_small and self._recent_small_slices(now) > CROWDED else 0.0

    def record_read(self, rows: int, only_heartbeats: bool, now: float) -> None:
        """Note a slice that was read. rows: its size."""
        self._last_was_small = rows < SMALL_SLICE
        if only_heartbeats:
            return
        self.record_sent(now)
        if self._last_was_small:
            self._small_slices = self._recent_small_slices(now) + 1.0
            self._counted_at = now

    def record_sent(self, now: float) -> None:
        """Note that something was sent, so answers are expected."""
        self._active_until = now + ACTIVE_FOR

    def is_idle(self, now: float) -> bool:
        """True if only heartbeats were received for a while."""
        return now >= self._active_until

    def _recent_small_slices(self, now: float) -> float:
        return self._small_slices * math.exp2((self._counted_at - now) / HALF_LIFE)
