"""Who the simulated hosts are."""

from __future__ import annotations

import random
import uuid


def host_id_of(seed: int, index: int) -> str:
    """A UUID of version 7 that depends on nothing but these two (RFC 9562 section 5.7, with a made-up time).

    For servers without TLS, which take the id that a Hello names; others give one at the join."""
    bits = random.Random(f"{seed} {index}").getrandbits(74)
    return str(uuid.UUID(int=(1_700_000_000_000 + index) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1))


def hostname_of(index: int) -> str:
    return f"sim-{index:06d}"
