"""How many rows the next transaction may hold."""

from __future__ import annotations

NEWEST = 0.2
"""Share of the newest measurement in what is believed."""
COMPANY = 1.0
"""Seconds for which a small unit that had to pass others is remembered."""
LEAST = 100
FIXED = 3.0
"""A transaction with many rows may last so many times as long as one with few: on a disk that is slow to sync, short
ones would write nothing else
than their ends."""


class BatchSize:
    """As many as its limit says; while small units pass larger ones, which wait for the transaction under way, as many
    as were written within
    `seconds` of late. small: rows of a transaction that costs little beyond what every transaction costs."""

    def __init__(self, most: int, seconds: float, small: int) -> None:
        self._most, self._seconds, self._small = most, seconds, small
        self._fixed = 0.0
        self._a_row = 0.0
        self._passed = float("-inf")

    def passed(self, now: float) -> None:
        """A small unit has passed others."""
        self._passed = now

    def took(self, rows: int, seconds: float) -> None:
        """A transaction with so many rows took so long."""
        if rows <= self._small:
            self._fixed = seconds if not self._fixed else self._fixed + NEWEST * (seconds - self._fixed)
        else:
            a_row = max(0.0, seconds - self._fixed) / rows
            self._a_row = a_row if not self._a_row else self._a_row + NEWEST * (a_row - self._a_row)

    def rows(self, now: float) -> int:
        if not self._seconds or not self._a_row or now - self._passed > COMPANY:
            return self._most
        return max(min(LEAST, self._most), min(self._most, int(max(self._seconds, FIXED * self._fixed) / self._a_row)))
