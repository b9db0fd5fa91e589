"""A server for the agent protocol on plain grpclib: one trio coroutine per stream. Tests use it as the other end."""

from __future__ import annotations

import socket
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio_asyncio
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from proto.common.exception_groups import sole
from proto.link.accept import accepting
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.link.frames import read
from proto.link.loop import asyncio_loop
from proto.link.server import RESOURCE_EXHAUSTED, Refused, make_server, peer_of
from proto.messages import CONNECT


class ServerStream:
    """One agent's stream.

    Attributes:
        metadata: Headers of the request, with lower-case names.
        peer: "address:port".
        certificate: Certificate that the peer presented in TLS, DER; None without TLS.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.metadata: Mapping[str, str] = {
            key: value for key, value in stream.metadata.items() if isinstance(value, str)
        }
        self.peer, self.certificate = peer_of(stream)

    async def recv(self) -> bytes | None:
        """Return the bytes of the next message, or None when the agent has ended its side."""
        try:
            data: bytes | None = await trio_asyncio.aio_as_trio(read)(self._stream._stream, self._limit)
        except (StreamTerminatedError, AssertionError) as error:  # grpclib asserts when a stream ends within a message
            raise LinkClosed(str(error)) from error
        return data

    async def send(self, data: bytes) -> None:
        """Send a message; wait while the agent's window is full. A cancelled send leaves the stream unusable."""
        try:
            await trio_asyncio.aio_as_trio(self._stream.send_message)(data)
        except (StreamTerminatedError, ConnectionError) as error:
            raise LinkClosed(str(error)) from error


Connect = Callable[[ServerStream], Awaitable[None]]


class _Service:
    """Service object for grpclib: a path and its handler."""

    def __init__(self, connect: Connect, limit: int) -> None:
        self._connect, self._limit = connect, limit

    def __mapping__(self) -> dict[str, Handler]:
        return {CONNECT: Handler(self._handle, Cardinality.STREAM_STREAM, bytes, bytes)}

    async def _handle(self, stream: Any) -> None:
        try:
            await trio_asyncio.trio_as_aio(self._run)(stream)
        except Exception as raised:
            match sole(raised):
                case LinkRefused() as refused:
                    raise GRPCError(Status(refused.code), refused.message) from None
                case MessageTooLarge() as too_large:
                    raise GRPCError(Status(RESOURCE_EXHAUSTED), str(too_large)) from None
                case LinkClosed():
                    return
                case _:
                    raise

    async def _run(self, stream: Any) -> None:
        await self._connect(ServerStream(stream, self._limit))


@asynccontextmanager
async def serve(
    connect: Connect,
    sock: socket.socket,
    *,
    max_message: int,
    ssl: ssl_module.SSLContext | None = None,
    handshake_timeout: float = 10.0,
    refused: Refused = lambda peer, error: None,
) -> AsyncIterator[None]:
    """Call `connect` in its own task for every ConnectForCommands on `sock`, while the context is open.

    `connect` ends the call with a status by raising LinkRefused; by returning it ends the call with OK. It is cancelled
    when the peer disconnects. Leaving the context closes the listener and cancels open calls.

    Args:
        connect: Handles one stream.
        sock: Listening socket.
        max_message: Largest message in bytes.
        ssl: TLS context, or None for plaintext.
        handshake_timeout: Seconds for a TLS handshake.
        refused: Called with peer and error for each failed handshake.
    """
    async with asyncio_loop():
        server = await trio_asyncio.aio_as_trio(make_server)(_Service(connect, max_message))
        async with accepting(server, sock, ssl, handshake_timeout, refused):
            yield
