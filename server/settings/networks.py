"""Parses lists of networks in settings."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Parse addresses and networks separated by commas.

    Raises:
        ValueError: One part is neither; the message names it.
    """
    found: list[Network] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        try:
            found.append(ip_network(word, strict=False))
        except ValueError:
            raise ValueError(f"{word[:80]!r} is neither an address nor a network such as 10.0.0.0/8") from None
    return tuple(found)
