"""Proxies whose word is taken: for which client a request comes, and whether the client speaks TLS."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from server.settings.networks import Network

FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
MOST = 32
"""Addresses of one X-Forwarded-For that are looked at, from the end, which is what the nearest proxy wrote."""

Peer = tuple[str, int] | None


class Proxies:
    """trusted: `networks` of proxies. Headers of any other peer mean nothing."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def trusts(self, address: str) -> bool:
        if not self._trusted or (found := _address(address)) is None:
            return False
        return any(found.version == network.version and found in network for network in self._trusted)

    def client(self, peer: Peer, headers: Sequence[tuple[bytes, bytes]]) -> tuple[Peer, bool]:
        """Who a request comes from, and whether it came by https as far as the nearest proxy.

        Of X-Forwarded-For the last address counts that is no trusted proxy's: what stands before it can be written by
        anybody. headers:
        names in lower case.
        """
        if peer is None or not self.trusts(peer[0]):
            return peer, False
        proto = [value.strip().lower() for name, value in headers if name == FORWARDED_PROTO]
        secure = bool(proto) and proto[-1].rpartition(b",")[2].strip() == b"https"
        words = b",".join(value for name, value in headers if name == FORWARDED_FOR).decode("latin1").split(",")
        client = peer
        for word in reversed(words[-MOST:]):
            address = _address(_bare(word.strip()))
            if address is None:
                break
            client = (str(address), 0)
            if not self.trusts(client[0]):
                break
        return client, secure


def _bare(word: str) -> str:
    """Without port and brackets, which some proxies write."""
    if word.startswith("["):
        return word[1:].partition("]")[0]
    return word.partition(":")[0] if word.count(":") == 1 else word


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
