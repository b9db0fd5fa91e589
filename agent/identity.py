"""Who this host is: a UUID of version 7 (RFC 9562 section 5.7), made once and kept in the state directory."""

from __future__ import annotations

import re
from pathlib import Path

from agent.errors import StateUnusable
from agent.storage.disk import Disk

NAME = "host_id"
_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


def is_id(text: str) -> bool:
    """True for the canonical lower-case form of any UUID: 36 characters."""
    return _SHAPE.match(text) is not None


def uuid7(now_ms: int, entropy: bytes) -> str:
    """now_ms: milliseconds since 1970, 48 bits. entropy: 10 random bytes, of which 74 bits are used."""
    value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def host_id(state: Path, fresh: str, disk: Disk | None = None) -> str:
    """The id in the state directory; `fresh` is put there when there is none yet.

    One that cannot be read is an error and not a reason to become another host. Raises StateUnusable.
    """
    path = state / NAME
    try:
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            (disk or Disk()).write_file(path, f"{fresh}\n".encode())
            text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(
            f"{path}: {getattr(error, 'strerror', None) or error}", "make the file readable for the agent's user"
        ) from error
    if not is_id(text):
        raise StateUnusable(
            f"{path}: holds no host id", "restore the file with this host's id, or remove it to join as a new host"
        )
    return text
