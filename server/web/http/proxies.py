"""Trusted proxies: find the client behind a proxy, and whether it uses TLS."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from server.settings.networks import Network

FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
MAX_FORWARDED = 32
"""Number of addresses in X-Forwarded-For that are read, from the end, which the nearest proxy writes."""

Peer = tuple[str, int] | None


class TrustedProxies:
    """Proxies whose forwarding headers are trusted. The headers of all other peers are ignored.

    Args:
        trusted: Networks of the proxies.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def trusts(self, address: str) -> bool:
        if not self._trusted or (found := _address(address)) is None:
            return False
        return any(found.version == network.version and found in network for network in self._trusted)

    def client(self, peer: Peer, headers: Sequence[tuple[bytes, bytes]]) -> tuple[Peer, bool]:
        """The client of a request, and True if it uses https according to the nearest proxy.

        The last address in X-Forwarded-For that is not a trusted proxy is the client. Earlier addresses can be forged.

        Args:
            peer: The peer of the connection.
            headers: The request's headers, with names in lower case.
        """
        if peer is None or not self.trusts(peer[0]):
            return peer, False
        proto = [value.strip().lower() for name, value in headers if name == FORWARDED_PROTO]
        secure = bool(proto) and proto[-1].rpartition(b",")[2].strip() == b"https"
        words = b",".join(value for name, value in headers if name == FORWARDED_FOR).decode("latin1").split(",")
        client = peer
        for word in reversed(words[-MAX_FORWARDED:]):
            address = _address(_bare(word.strip()))
            if address is None:
                break
            client = (str(address), 0)
            if not self.trusts(client[0]):
                break
        return client, secure


def _bare(word: str) -> str:
    """Remove port and brackets, which some proxies add."""
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
