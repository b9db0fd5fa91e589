"""The server's side: a listening socket, and one trio coroutine per stream."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio_asyncio
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Server

from proto.common.exception_groups import sole
from proto.link.accept import accepting
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.link.frames import Bytes, read
from proto.link.loop import asyncio_loop
from proto.messages import CONNECT

RESOURCE_EXHAUSTED = 8
BACKLOG = 4096


class ServerStream:
    """One agent's stream. metadata: what came with the request, lower-case names. peer: "address:port". certificate:
    what the
    peer has shown in TLS, DER; None without TLS."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.metadata: Mapping[str, str] = {
            key: value for key, value in stream.metadata.items() if isinstance(value, str)
        }
        self.peer, self.certificate = peer_of(stream)

    async def recv(self) -> bytes | None:
        """The next message's bytes, or None when the agent has ended its side. Raises MessageTooLarge, LinkClosed."""
        try:
            data: bytes | None = await trio_asyncio.aio_as_trio(read)(self._stream._stream, self._limit)
        except (StreamTerminatedError, AssertionError) as error:  # grpclib asserts when a stream ends within a message
            raise LinkClosed(str(error)) from error
        return data

    async def send(self, data: bytes) -> None:
        """Waits for the agent's window when it is full. A cancelled send leaves the stream unusable. Raises
        LinkClosed."""
        try:
            await trio_asyncio.aio_as_trio(self._stream.send_message)(data)
        except (StreamTerminatedError, ConnectionError) as error:
            raise LinkClosed(str(error)) from error


Connect = Callable[[ServerStream], Awaitable[None]]
Refused = Callable[[str, BaseException], None]


def peer_of(stream: Any) -> tuple[str, bytes | None]:
    """Address and certificate (DER) of the other end of a grpclib stream."""
    transport = stream._stream._transport
    address, secure = transport.get_extra_info("peername"), transport.get_extra_info("ssl_object")
    return f"{address[0]}:{address[1]}" if address else "unknown", secure.getpeercert(
        True
    ) if secure is not None else None


def not_told(peer: str, error: BaseException) -> None:
    """Stands for a `refused` that nobody has asked for."""


class _Service:
    """What grpclib asks a service for: a path and its handler."""

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


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError, e.g. EADDRINUSE."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


@asynccontextmanager
async def serve(
    connect: Connect,
    sock: socket.socket,
    *,
    max_message: int,
    ssl: ssl_module.SSLContext | None = None,
    handshake_timeout: float = 10.0,
    refused: Refused = not_told,
) -> AsyncIterator[None]:
    """Call `connect` in a task of its own for every ConnectForCommands that comes in on `sock`.

    handshake_timeout: seconds for TLS. refused: told who did not get through the handshake, and why.

    `connect` ends the call with a status by raising LinkRefused; by returning it ends it with OK. When the peer goes
    away it
    is cancelled. Leaving the block closes the listener and cancels what still runs.
    """
    async with asyncio_loop():
        server = await trio_asyncio.aio_as_trio(_make)(_Service(connect, max_message))
        async with accepting(server, sock, ssl, handshake_timeout, refused):
            yield


async def _make(service: Any) -> Server:
    assert asyncio.get_running_loop() is not None
    config = Configuration(http2_connection_window_size=1 << 20, http2_stream_window_size=1 << 20)
    return Server([service], codec=Bytes(), config=config)
