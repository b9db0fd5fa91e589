"""Where a host may join from, and by which id its request is known while it waits for an operator's word."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from hashlib import sha256

from server.security.ca import request_key

NETWORKS = 16
"""At most, per token."""


def networks(blocks: Iterable[str]) -> tuple[str, ...]:
    """CIDR blocks (RFC 4632 3.1, RFC 4291 2.3) in their one form, each once; an address alone is the block of it.
    Raises ValueError."""
    found: dict[str, None] = {}
    for block in blocks:
        try:
            found[str(ipaddress.ip_network(block.strip()))] = None
        except ValueError:
            raise ValueError(
                f"{block[:64]!r} is no network; write it like 10.1.0.0/16 or 2001:db8::/32, with no bits set "
                f"behind the prefix"
            ) from None
    if len(found) > NETWORKS:
        raise ValueError(f"at most {NETWORKS} networks, not {len(found)}")
    return tuple(found)


def address_of(peer: str) -> str:
    """Of "address:port". An IPv4 address that came through an IPv6 socket (RFC 4291 2.5.5.2) is given as IPv4."""
    text = peer.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(getattr(found, "ipv4_mapped", None) or found)


def is_within(peer: str, blocks: tuple[str, ...]) -> bool:
    """Whether a peer at "address:port" is in one of the blocks, or there are none."""
    if not blocks:
        return True
    try:
        found = ipaddress.ip_address(address_of(peer))
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(block) for block in blocks)


def request_id(token_id: str, csr: bytes) -> str:
    """32 hexadecimal digits of a SHA-256 over token and public key: a host that asks again with its key is the same
    request,
    and nobody else's key can be taken for it. Raises BadRequest."""
    return sha256(token_id.encode() + b"\0" + request_key(csr)).hexdigest()[:32]
