"""Ids, names and addresses of simulated hosts."""

from __future__ import annotations

import random
import uuid


def host_id_of(seed: int, index: int) -> str:
    """Return a UUID of version 7 that depends only on the arguments (RFC 9562 section 5.7, with an invented time).

    It is for servers without TLS, which accept the id in a Hello. Other servers assign an id at the join.
    """
    bits = random.Random(f"{seed} {index}").getrandbits(74)
    return str(
        uuid.UUID(
            int=(1_700_000_000_000 + index) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
        )
    )


def address_of(index: int, server: str) -> str | None:
    """Return the source address of a host: an address of its own in 127.0.0.0/8 if the server is on loopback, else
    None.

    With different addresses the limits per address apply as for real hosts.
    """
    place = index + (1 << 16)
    return f"127.{place >> 16 & 0x7F}.{place >> 8 & 0xFF}.{place & 0xFF}" if server.startswith("127.") else None


def hostname_of(index: int) -> str:
    return f"sim-{index:06d}"
