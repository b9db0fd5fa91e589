"""A token bucket whose clock is an argument."""

from __future__ import annotations


class Rate:
    """`per_second` are let through, and as many saved up for a burst."""

    def __init__(self, per_second: float, now: float) -> None:
        self._rate, self._saved, self._at = per_second, max(1.0, per_second), now

    def allows(self, now: float) -> bool:
        """now: monotonic seconds."""
        self._saved = min(max(1.0, self._rate), self._saved + (now - self._at) * self._rate)
        self._at = now
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
