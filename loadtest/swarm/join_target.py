"""Address and credentials for joining."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JoinTarget:
    """The enrolment port and token with which simulated hosts join.

    Attributes:
        host: Address of the enrolment port.
        port: The enrolment port.
        pin: `sha256:` and the SHA-256 of the root's public key.
    """

    host: str
    port: int
    token: str
    pin: str
