"""Networks from which hosts may join, and ids of join requests that wait for approval."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from hashlib import sha256

from server.security.ca import request_key

NETWORKS = 16
"""Maximum number of networks of one token."""


def networks(blocks: Iterable[str]) -> tuple[str, ...]:
    """Return CIDR blocks (RFC 4632 3.1, RFC 4291 2.3) in canonical form, without duplicates.

    An address without a prefix length is the block of this one address.

    Raises:
        ValueError: A block is wrong, or there are more than NETWORKS.
    """
    found: dict[str, None] = {}
    for block in blocks:
        try:
            found[str(ipaddress.ip_network(block.strip()))] = None
        except ValueError:
            raise ValueError(
                f"{block[:64]!r} is not a network; write it like 10.1.0.0/16 or 2001:db8::/32, with no bits set "
                f"after the prefix"
            ) from None
    if len(found) > NETWORKS:
        raise ValueError(f"at most {NETWORKS} networks, not {len(found)}")
    return tuple(found)


def address_of(peer: str) -> str:
    """Return the address in "address:port". An IPv4 address mapped to IPv6 (RFC 4291 2.5.5.2) is returned as IPv4."""
    text = peer.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(getattr(found, "ipv4_mapped", None) or found)


def is_within(peer: str, blocks: tuple[str, ...]) -> bool:
    """Return whether the peer at "address:port" is in one of the blocks, or there are no blocks."""
    if not blocks:
        return True
    try:
        found = ipaddress.ip_address(address_of(peer))
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(block) for block in blocks)


def request_id(token_id: str, csr: bytes) -> str:
    """Return the id of a join request: 32 hexadecimal digits of a SHA-256 over token id and public key.

    A host that repeats its request with the same key has the same id; another key never has it.

    Raises:
        BadRequest: The certificate signing request cannot be used.
    """
    return sha256(token_id.encode() + b"\0" + request_key(csr)).hexdigest()[:32]
