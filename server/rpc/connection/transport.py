"""The asyncio transport that grpclib's protocol object writes to, on a connection of the HTTP/2 fast path."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from grpclib.exceptions import GRPCError


class Conn(Protocol):
    """The part of a connection (_speedups/http2/connection_py.py) that grpclib's writes need."""

    @property
    def closed(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Transport(asyncio.Transport):
    """An asyncio transport on top of a fast-path connection.

    Args:
        sock: the connection's socket.
        peername: address and port of the peer.
        certificate: the peer's certificate in DER, None without TLS.

    Attributes:
        conn: the connection; while it is None, writes are dropped.
        on_refused: called when the agent is refused above HTTP/2, with whether it broke the protocol.
        refusal: the error that the agent got then; it answers every further call of the connection.
    """

    def __init__(self, sock: socket.socket, peername: tuple[str, int], certificate: bytes | None) -> None:
        super().__init__({"socket": sock, "peername": peername, "certificate": certificate})
        self.conn: Conn | None = None
        self.on_refused: Callable[[bool], None] = lambda grave: None
        self.refusal: GRPCError | None = None
        self._closing = False

    def write(self, data: Any) -> None:
        """Send what the socket takes now, and queue the rest in the connection's bounded queue."""
        if self.conn is not None and not self.conn.closed:
            self.conn.write(bytes(data))

    def is_closing(self) -> bool:
        return self._closing or self.conn is None or self.conn.closed

    def close(self) -> None:
        """Close after everything that was written has been sent."""
        if not self._closing:
            self._closing = True
            if self.conn is not None:
                self.conn.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        if self.conn is not None:
            self.conn.abort()
