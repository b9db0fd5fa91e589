"""Settings of a process of simulated hosts."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

Contexts = Callable[[int], ssl.SSLContext | None]
"""Returns the TLS context of a host by its number; None for plaintext."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a process; times in seconds with the defaults of the real agent.

    Attributes:
        host: Address of the server.
        token: Shared token; empty with TLS.
        first: Number of the first host of this process.
        dialing: Concurrent connections between first byte and Welcome.
        server_name: Name in the server's certificate.
    """

    host: str
    port: int
    token: str
    first: int
    agents: int
    seed: int
    server_name: str = "localhost"
    connect_timeout: float = 10.0
    hello_timeout: float = 10.0
    backoff_base: float = 1.0
    backoff_max: float = 15.0
    settled: float = 5.0
    heartbeat: float = 15.0
    silence: float = 45.0
    dialing: int = 1_024
    slots: int = 16
