"""Time-ordered ids (UUID version 7, RFC 9562 section 5.7), built from arguments only."""

from __future__ import annotations

import re

_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


def uuid7(now_ms: int, entropy: bytes) -> str:
    """Build a UUID of version 7.

    Args:
        now_ms: Milliseconds since 1970; 48 bits are used.
        entropy: 10 random bytes, of which 74 bits are used.
    """
    value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    """Return True for the canonical lower-case form of a UUID: 36 characters."""
    return _SHAPE.match(text) is not None
