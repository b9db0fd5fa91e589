"""Who the simulated hosts are."""

from __future__ import annotations

import random
import uuid


def host_id_of(seed: int, index: int) -> str:
    """A UUID of version 7 that depends on nothing but these two (RFC 9562 section 5.7, with a made-up time).

    For servers without TLS, which take the id that a Hello names; others give one at the join."""
    bits = random.Random(f"{seed} {index}").getrandbits(74)
    return str(
        uuid.UUID(
            int=(1_700_000_000_000 + index) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
        )
    )


def address_of(index: int, server: str) -> str | None:
    """Where the host dials from: an address of its own if the server is on loopback, of which all 127.0.0.0/8 belongs
    to this machine,
    so that limits per address count as they do for real hosts; None elsewhere."""
    place = index + (1 << 16)
    return f"127.{place >> 16 & 0x7F}.{place >> 8 & 0xFF}.{place & 0xFF}" if server.startswith("127.") else None


def hostname_of(index: int) -> str:
    return f"sim-{index:06d}"
