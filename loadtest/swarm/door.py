"""Where simulated hosts join."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """Where and with what to join. host, port: of the enrolment port. pin: `sha256:` and the SHA-256 of the root's
    public key."""

    host: str
    port: int
    token: str
    pin: str
