"""Types of setting fields: each carries its limits and its description.

`server.settings.table` reads both; docs/reference/configuration.md shows them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

Text64 = Annotated[str, Meta(min_length=1, max_length=64)]
"""A MySQL database name."""
Text80 = Annotated[str, Meta(min_length=1, max_length=80)]
"""A database account: MariaDB allows 80 characters, MySQL 32."""
Text255 = Annotated[str, Meta(min_length=1, max_length=255)]
"""A host name (RFC 1035, section 2.3.4) or an address."""
Text1000 = Annotated[str, Meta(min_length=1, max_length=1000)]
"""A list of names or addresses."""


def bounded(low: float, high: float, description: str) -> Meta:
    """A number from `low` to `high`, both included."""
    return Meta(ge=low, le=high, description=description)


def described(description: str) -> Meta:
    """A value without numeric limits."""
    return Meta(description=description)
