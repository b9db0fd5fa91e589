"""Attempts with a wrong token, limited by address and token together.

A token's secret has 256 random bits, so nobody guesses it; the limit keeps logs and metrics readable and costs small.
It must not become a way to
shut others out: what came with one token, or with none that is known, does not count against another token from the
same address, which may be
that of a proxy with everybody behind it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address

PER_S = 60.0
"""Seconds for which an attempt counts."""
KEPT = 10_000
"""Addresses with a token each that are remembered; of more, those that failed longest ago are forgotten."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address: whoever has one has all of its network (RFC 6177)."""


class Attempts:
    """tries: wrong attempts within PER_S that are listened to. Times are of a monotonic clock, in seconds."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait(self, address: str, token_id: str, now: float) -> float:
        """Seconds until the next attempt is listened to; 0 if it is now. token_id: "" for every token that is not
        known."""
        failed = self._failed.get((source_of(address), token_id))
        if failed is None:
            return 0.0
        while failed and now - failed[0] >= PER_S:
            failed.popleft()
        return failed[0] + PER_S - now if len(failed) >= self._tries else 0.0

    def failed(self, address: str, token_id: str, now: float) -> None:
        key = (source_of(address), token_id)
        self._failed.setdefault(key, deque(maxlen=self._tries)).append(now)
        self._failed.move_to_end(key)
        if len(self._failed) > KEPT:
            self._failed.popitem(last=False)

    def succeeded(self, address: str, token_id: str) -> None:
        self._failed.pop((source_of(address), token_id), None)


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, the network of an IPv6 address, or the text if it is neither."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 128 - IPV6_PREFIX << 128 - IPV6_PREFIX))
