"""A token bucket whose clock is an argument."""

from __future__ import annotations


class TokenBucket:
    """Allows `rate` events per second and saves up to `burst` of them.

    Args:
        rate: Tokens added per second.
        burst: Maximum number of saved tokens; the bucket starts full.
        now: Monotonic seconds.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Start with a full bucket."""
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def allows(self, now: float) -> bool:
        """Take one token and return True, or return False if there is none."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Take one token, which may be one of the future. Return the seconds until it may be used."""
        self._fill(now)
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def is_full(self, now: float) -> bool:
        """Return whether all tokens are saved up again."""
        return self._tokens + (now - self._at) * self._rate >= self._burst

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
