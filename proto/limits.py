"""Limits that both sides of the agent protocol must know. Their values are part of the protocol."""

from __future__ import annotations

MESSAGE_BYTES = 4 << 20
"""Largest message that either side accepts unless its settings state another limit."""

OUTPUT_PIECE = 32 * 1024
"""Maximum bytes of output in one Output message."""

OUTPUT_OVERHEAD = 64
"""Bytes of credit that each Output message costs in addition to its data, so that many small messages are not free."""
