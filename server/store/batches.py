"""Decides how many rows the next transaction may hold."""

from __future__ import annotations

NEWEST = 0.2
"""Weight of the newest measurement in the moving average, if it is lower. A higher one counts at once: rows with
results take five times as long as those of a dispatch, and small units wait for the first long transaction."""
COMPANY = 1.0
"""Seconds after a small unit passed others during which transactions stay short."""
LEAST = 100
"""Rows that any transaction may hold."""
FIXED = 2.0
"""The rows of a transaction may take this many times as long as a transaction with few rows. On a disk that is slow to
sync, shorter ones would spend most of their time on the commit.

Measured while ten thousand hosts answer at once: the p99 of one command on one other host and the time of the bulk work
are on SQLite 182 ms and 1.8 s with 1 (one command alone: 23 ms), 216 ms and 2.2 s with 2 (alone: 27 ms), on MariaDB
360 ms and 3.3 s with 1, 362 ms and 2.5 s with 2, 428 ms and 2.7 s with 3 (alone: 32 to 35 ms)."""


class BatchSize:
    """The number of rows of the next transaction.

    It is the limit, except while small units pass larger ones that wait for the transaction in progress. Then it is the
    number of rows that transactions have recently written within `seconds`.

    Args:
        most: the limit.
        seconds: the time that a transaction may take while small units pass; 0: no limit.
        small: a transaction with at most this many rows costs little more than any transaction costs.
    """

    def __init__(self, most: int, seconds: float, small: int) -> None:
        """Start without measurements."""
        self._most, self._seconds, self._small = most, seconds, small
        self._fixed = 0.0
        self._a_row = 0.0
        self._passed = float("-inf")

    def passed(self, now: float) -> None:
        """Record that a small unit passed others at this monotonic time, in seconds."""
        self._passed = now

    def took(self, rows: int, seconds: float) -> None:
        """Record that a transaction with this many rows took this many seconds."""
        if rows <= self._small:
            self._fixed = seconds if not self._fixed else self._fixed + NEWEST * (seconds - self._fixed)
        else:
            a_row = max(0.0, seconds - self._fixed) / rows
            self._a_row = a_row if a_row > self._a_row else self._a_row + NEWEST * (a_row - self._a_row)

    def rows(self, now: float) -> int:
        """The number of rows at this monotonic time, in seconds."""
        if not self._seconds or not self._a_row or now - self._passed > COMPANY:
            return self._most
        return max(min(LEAST, self._most), min(self._most, int(max(self._seconds, FIXED * self._fixed) / self._a_row)))
