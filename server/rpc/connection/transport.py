"""What grpclib's protocol object expects of asyncio, on a connection of the lane."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from grpclib.exceptions import GRPCError


class Conn(Protocol):
    """The lane's connection (_speedups/http2/connection_py.py), as far as grpclib's writes need it."""

    @property
    def closed(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Transport(asyncio.Transport):
    """peername: (address, port) of the agent. certificate: its certificate in DER, None without TLS. offended: to be
    called when the
    agent has been refused by what is above HTTP/2, with whether it broke the protocol. refusal: what it was told then;
    it is the answer to whatever else it calls."""

    def __init__(self, sock: socket.socket, peername: tuple[str, int], certificate: bytes | None) -> None:
        super().__init__({"socket": sock, "peername": peername, "certificate": certificate})
        self.conn: Conn | None = None
        self.offended: Callable[[bool], None] = lambda grave: None
        self.refusal: GRPCError | None = None
        self._closing = False

    def write(self, data: Any) -> None:
        """Sent at once as far as the socket takes it; the rest waits in the lane's queue, which is bounded."""
        if self.conn is not None and not self.conn.closed:
            self.conn.write(bytes(data))

    def is_closing(self) -> bool:
        return self._closing or self.conn is None or self.conn.closed

    def close(self) -> None:
        """After everything that was written has left."""
        if not self._closing:
            self._closing = True
            if self.conn is not None:
                self.conn.close()

    def abort(self) -> None:
        """At once."""
        self._closing = True
        if self.conn is not None:
            self.conn.abort()
