"""Accepts connections for grpclib, and does their TLS handshakes where a failure can be told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
import trio_asyncio
from grpclib.server import Server

PAUSE = 0.1
"""Seconds without accepting when there is no file descriptor left."""
HANDSHAKES = 512
"""At once; others wait in the kernel's queue."""


@asynccontextmanager
async def accepting(
    server: Server, sock: socket.socket, tls: ssl.SSLContext | None, handshake_timeout: float, refused: Callable[[str, BaseException], None]
) -> AsyncIterator[None]:
    """Serve whoever connects to `sock` for the duration of the block; then close it and cancel what still runs. Inside an
    asyncio_loop."""
    sock.setblocking(False)
    connections: set[asyncio.BaseTransport] = set()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_accept, server, sock, tls, handshake_timeout, refused, connections))
            yield
            nursery.cancel_scope.cancel()
    finally:
        sock.close()
        with trio.CancelScope(shield=True):
            await trio_asyncio.aio_as_trio(_close)(server, connections)


async def _accept(
    server: Server,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    handshake_timeout: float,
    refused: Callable[[str, BaseException], None],
    connections: set[asyncio.BaseTransport],
) -> None:
    busy = trio.CapacityLimiter(HANDSHAKES)

    async def enter(one: socket.socket, peer: str) -> None:
        async with busy:
            try:
                transport = await trio_asyncio.aio_as_trio(_adopt)(server, one, tls, handshake_timeout)
            except OSError as error:  # ssl.SSLError is one too
                refused(peer, error)
                one.close()
            except BaseException:
                one.close()
                raise
            else:
                connections.difference_update({old for old in connections if old.is_closing()} if len(connections) % 64 == 0 else ())
                connections.add(transport)

    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                one, address = sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError:  # EMFILE and its like: those who are here go first
                await trio.sleep(PAUSE)
                continue
            one.setblocking(False)
            nursery.start_soon(enter, one, f"{address[0]}:{address[1]}")


async def _adopt(server: Server, sock: socket.socket, tls: ssl.SSLContext | None, handshake_timeout: float) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    limit = None if tls is None else handshake_timeout
    transport, _ = await loop.connect_accepted_socket(server._protocol_factory, sock, ssl=tls, ssl_handshake_timeout=limit)
    return transport


async def _close(server: Server, connections: set[asyncio.BaseTransport]) -> None:
    handlers = list(server._handlers)
    for handler in handlers:
        handler.close()
    for handler in handlers:
        await handler.wait_closed()
    for transport in connections:
        transport.close()
