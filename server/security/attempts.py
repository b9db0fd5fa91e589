"""Limits attempts with a wrong token, per address and token.

A token has 256 random bits, so it cannot be guessed; the limit bounds cost and keeps logs and metrics readable. It must
not lock out other clients: attempts with one token do not count against another token from the same address, which may
be the address of a proxy. All unknown tokens count as one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address

PER_S = 60.0
"""Seconds for which an attempt is counted."""
KEPT = 10_000
"""Maximum number of pairs of address and token; the pair that failed longest ago is dropped first."""
IPV6_PREFIX = 64
"""Prefix length that counts as one IPv6 source, because a site has at least a /64 (RFC 6177)."""


class Attempts:
    """Failed attempts of all sources.

    Args:
        tries: Failed attempts within PER_S seconds before further ones are refused.
    """

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait(self, address: str, token_id: str, now: float) -> float:
        """Return the seconds until the next attempt is allowed, 0 if it is allowed now.

        Args:
            address: Address of the client.
            token_id: Public id of the token; empty for all unknown tokens.
            now: Monotonic seconds.
        """
        failed = self._failed.get((source_of(address), token_id))
        if failed is None:
            return 0.0
        while failed and now - failed[0] >= PER_S:
            failed.popleft()
        return failed[0] + PER_S - now if len(failed) >= self._tries else 0.0

    def failed(self, address: str, token_id: str, now: float) -> None:
        """Count a failed attempt."""
        key = (source_of(address), token_id)
        self._failed.setdefault(key, deque(maxlen=self._tries)).append(now)
        self._failed.move_to_end(key)
        if len(self._failed) > KEPT:
            self._failed.popitem(last=False)

    def succeeded(self, address: str, token_id: str) -> None:
        """Forget the failed attempts with this token."""
        self._failed.pop((source_of(address), token_id), None)


def source_of(address: str) -> str:
    """Return the source of an address: an IPv4 address, the /64 network of an IPv6 address, or the text itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 128 - IPV6_PREFIX << 128 - IPV6_PREFIX))
