"""Accepts connections for grpclib and does their TLS handshakes, so that failures can be reported."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import trio
import trio_asyncio
from grpclib.server import Server

PAUSE = 0.1
"""Seconds without accepting when no file descriptor is free."""
HANDSHAKES = 512
"""Maximum number of concurrent handshakes; further connections wait in the kernel's queue."""


class Connections(Protocol):
    """Limits the connections, and may put an object between a connection and grpclib."""

    async def room(self) -> None:
        """Wait until another connection may be accepted."""

    def enter(self, sock: socket.socket, address: str) -> Any:
        """Return an object that represents this connection in the other methods, or None to close it."""

    def failed(self, place: Any) -> None:
        """Report that the TLS handshake of a connection failed."""

    def protocol(self, inner: Any, place: Any) -> asyncio.Protocol:
        """Return the protocol object of a connection.

        Args:
            inner: grpclib's protocol object.
            place: The connection's object. The returned protocol object releases it when the connection is lost.
        """


class NoLimits:
    """Accepts every connection."""

    async def room(self) -> None:
        """Return at once."""

    def enter(self, sock: socket.socket, address: str) -> Any:
        """Accept the connection."""
        return address

    def failed(self, place: Any) -> None:
        """Ignore the failure."""

    def protocol(self, inner: Any, place: Any) -> asyncio.Protocol:
        """Return grpclib's protocol object."""
        return inner  # type: ignore[no-any-return]


@asynccontextmanager
async def accepting(
    server: Server,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    handshake_timeout: float,
    refused: Callable[[str, BaseException], None],
    connections: Connections | None = None,
) -> AsyncIterator[None]:
    """Serve connections to `sock` while the context is open; then close the socket and cancel open calls.

    The caller must be inside an asyncio_loop.
    """
    sock.setblocking(False)
    transports: set[asyncio.BaseTransport] = set()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(_accept, server, sock, tls, handshake_timeout, refused, transports, connections or NoLimits())
            )
            yield
            nursery.cancel_scope.cancel()
    finally:
        sock.close()
        with trio.CancelScope(shield=True):
            await trio_asyncio.aio_as_trio(_close)(server, transports)


async def _accept(
    server: Server,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    handshake_timeout: float,
    refused: Callable[[str, BaseException], None],
    transports: set[asyncio.BaseTransport],
    connections: Connections,
) -> None:
    busy = trio.CapacityLimiter(HANDSHAKES)

    async def enter(one: socket.socket, peer: str, place: Any) -> None:
        async with busy:
            try:
                transport = await trio_asyncio.aio_as_trio(_adopt)(
                    lambda: connections.protocol(server._protocol_factory(), place), one, tls, handshake_timeout
                )
            except OSError as error:  # ssl.SSLError is one too
                connections.failed(place)
                refused(peer, error)
                one.close()
            except BaseException:
                one.close()
                raise
            else:
                transports.difference_update(
                    {old for old in transports if old.is_closing()} if len(transports) % 64 == 0 else ()
                )
                transports.add(transport)

    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(sock)
            await connections.room()
            try:
                one, address = sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError:  # EMFILE and similar: wait until present connections have ended
                await trio.sleep(PAUSE)
                continue
            one.setblocking(False)
            place = connections.enter(one, address[0])
            if place is None:
                one.close()
                continue
            nursery.start_soon(enter, one, f"{address[0]}:{address[1]}", place)


async def _adopt(
    factory: Callable[[], asyncio.Protocol], sock: socket.socket, tls: ssl.SSLContext | None, handshake_timeout: float
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    limit = None if tls is None else handshake_timeout
    transport, _ = await loop.connect_accepted_socket(factory, sock, ssl=tls, ssl_handshake_timeout=limit)
    return transport


async def _close(server: Server, connections: set[asyncio.BaseTransport]) -> None:
    handlers = list(server._handlers)
    for handler in handlers:
        handler.close()
    for handler in handlers:
        await handler.wait_closed()
    for transport in connections:
        transport.close()
