"""How an agent shows who it is: by a certificate, or on plaintext loopback by a token."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from server.rpc.authenticate import HostAuthenticator


def untold(peer: str, error: BaseException) -> None:
    """Without TLS no handshake fails."""


@dataclass(frozen=True, slots=True)
class AgentAuth:
    """Either tls and gate, or verify, which judges the token in the request's metadata. failed: told of handshakes that
    did
    not end well, with the peer's address."""

    tls: ssl.SSLContext | None = None
    gate: HostAuthenticator | None = None
    verify: Callable[[str], bool] | None = None
    failed: Callable[[str, BaseException], None] = untold
