"""A token bucket whose clock is an argument."""

from __future__ import annotations

from itertools import islice


class Rate:
    """`per_second` are let through, and as many saved up for a burst, or `burst`."""

    def __init__(self, per_second: float, now: float, burst: float | None = None) -> None:
        self._rate, self._most, self._at = per_second, burst or max(1.0, per_second), now
        self._saved = self._most

    def allows(self, now: float) -> bool:
        """now: monotonic seconds."""
        self._saved = min(self._most, self._saved + (now - self._at) * self._rate)
        self._at = now
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True

    def restored(self, now: float) -> bool:
        """Whether all is saved up again."""
        return self._saved + (now - self._at) * self._rate >= self._most


class RatePerHost:
    """The same for each of many hosts, by name. `burst` may be asked for at once; one comes back each `every`
    seconds."""

    def __init__(self, burst: int, every: float) -> None:
        self._burst, self._every = burst, every
        self._hosts: dict[str, Rate] = {}

    def allows(self, host: str, now: float) -> bool:
        """now: monotonic seconds."""
        rate = self._hosts.pop(host, None) or Rate(1 / self._every, now, self._burst)
        allowed = rate.allows(now)
        self._hosts[host] = rate  # the one asked about last stands last
        self._forget(now)
        return allowed

    def _forget(self, now: float) -> None:
        """The two that were asked about longest ago, if they have all of it again: so that what is kept does not
        outlive its use."""
        for host in list(islice(self._hosts, 2)):
            if self._hosts[host].restored(now):
                del self._hosts[host]

    def __len__(self) -> int:
        return len(self._hosts)
