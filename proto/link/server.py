"""Server side of grpclib on trio: listening sockets, the gRPC server object, and the other end of a stream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from grpclib.config import Configuration
from grpclib.server import Server

from proto.link.frames import Bytes

RESOURCE_EXHAUSTED = 8
"""gRPC status of a message that is too large."""
BACKLOG = 4096
"""Connections that may wait in the kernel's queue."""

Refused = Callable[[str, BaseException], None]
"""Called with peer and error when a TLS handshake failed."""


def peer_of(stream: Any) -> tuple[str, bytes | None]:
    """Return address and certificate (DER) of the other end of a grpclib stream."""
    transport = stream._stream._transport
    address, secure = transport.get_extra_info("peername"), transport.get_extra_info("ssl_object")
    certificate = secure.getpeercert(True) if secure is not None else None
    return f"{address[0]}:{address[1]}" if address else "unknown", certificate


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        OSError: EADDRINUSE, for example.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


async def make_server(service: Any) -> Server:
    """Build the gRPC server for a service. Must run under asyncio."""
    assert asyncio.get_running_loop() is not None
    config = Configuration(http2_connection_window_size=1 << 20, http2_stream_window_size=1 << 20)
    return Server([service], codec=Bytes(), config=config)
