"""A rate limit for each of many hosts."""

from __future__ import annotations

from itertools import islice

from proto.common.token_bucket import TokenBucket


class RatePerHost:
    """One token bucket per host name.

    Args:
        burst: Calls that a host may make at once.
        every: Seconds after which a host may make one more call.
    """

    def __init__(self, burst: int, every: float) -> None:
        self._burst = burst
        self._every = every
        self._hosts: dict[str, TokenBucket] = {}

    def allows(self, host: str, now: float) -> bool:
        """Count one call of a host and return whether it may proceed. `now` is in monotonic seconds."""
        bucket = self._hosts.pop(host, None) or TokenBucket(1 / self._every, self._burst, now)
        allowed = bucket.allows(now)
        self._hosts[host] = bucket  # the most recent host stands last
        self._drop_full(now)
        return allowed

    def _drop_full(self, now: float) -> None:
        """Drop the two oldest buckets if they are full, because a full bucket equals a new one."""
        for host in list(islice(self._hosts, 2)):
            if self._hosts[host].is_full(now):
                del self._hosts[host]

    def __len__(self) -> int:
        return len(self._hosts)
