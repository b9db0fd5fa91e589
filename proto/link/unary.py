"""Calls with one message in each direction, for both sides; enrolment uses them."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
import trio_asyncio
from grpclib.client import Channel
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.metadata import decode_grpc_message

from proto.common.exception_groups import sole
from proto.link.accept import Connections, accepting
from proto.link.channel import establish, make
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.link.frames import read
from proto.link.loop import asyncio_loop
from proto.link.server import RESOURCE_EXHAUSTED, Refused, make_server, peer_of

DEADLINE_EXCEEDED = 4
LIMIT = 64 << 10
"""Maximum bytes of one message in either direction."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        peer: "address:port".
        certificate: Certificate that the peer presented in TLS, DER.
    """

    data: bytes
    peer: str
    certificate: bytes | None


Handle = Callable[[Call], Awaitable[bytes]]


class _Calls:
    """Service object for grpclib: paths and their handlers."""

    def __init__(self, handlers: Mapping[str, Handle], deadline: float) -> None:
        self._handlers, self._deadline = handlers, deadline

    def __mapping__(self) -> dict[str, Handler]:
        return {
            path: Handler(self._handler(handle), Cardinality.UNARY_UNARY, bytes, bytes)
            for path, handle in self._handlers.items()
        }

    def _handler(self, handle: Handle) -> Callable[[Any], Awaitable[None]]:
        async def run(stream: Any) -> None:
            try:
                with trio.fail_after(self._deadline):
                    data = await trio_asyncio.aio_as_trio(read)(stream._stream, LIMIT)
                    if data is None:
                        raise LinkClosed("ended before its message")
                    answer = await handle(Call(data, *peer_of(stream)))
                    await trio_asyncio.aio_as_trio(stream.send_message)(answer)
            except trio.TooSlowError:
                raise LinkRefused(DEADLINE_EXCEEDED, f"not done within {self._deadline:g} s") from None

        async def handler(stream: Any) -> None:
            try:
                await trio_asyncio.trio_as_aio(run)(stream)
            except Exception as raised:
                match sole(raised):
                    case LinkRefused() as refused:
                        raise GRPCError(Status(refused.code), refused.message) from None
                    case MessageTooLarge() as too_large:
                        raise GRPCError(Status(RESOURCE_EXHAUSTED), str(too_large)) from None
                    case LinkClosed() | StreamTerminatedError():
                        return
                    case _:
                        raise

        return handler


@asynccontextmanager
async def serve_calls(
    handlers: Mapping[str, Handle],
    sock: socket.socket,
    *,
    ssl: ssl_module.SSLContext,
    deadline: float,
    handshake_timeout: float,
    refused: Refused,
    connections: Connections | None = None,
) -> AsyncIterator[None]:
    """Answer calls on `sock` while the context is open. A handler raises LinkRefused to end its call with a status.

    Args:
        handlers: Handlers by path.
        sock: Listening socket.
        ssl: TLS context.
        deadline: Seconds for one call.
        handshake_timeout: Seconds for a TLS handshake.
        refused: Called with peer and error for each failed handshake.
        connections: Limits the connections; None accepts every connection.
    """
    async with asyncio_loop():
        server = await trio_asyncio.aio_as_trio(make_server)(_Calls(handlers, deadline))
        async with accepting(server, sock, ssl, handshake_timeout, refused, connections):
            yield


async def call(host: str, port: int, path: str, data: bytes, *, ssl: ssl_module.SSLContext, within: float) -> bytes:
    """Make one call on its own connection and return the answer.

    Args:
        host: Address of the server.
        port: Port of the server.
        path: Path of the method.
        data: The request.
        ssl: TLS context.
        within: Seconds, including TLS.

    Raises:
        LinkClosed: There was no answer.
        LinkRefused: The server ended the call with a status.
        MessageTooLarge: The answer is too large.
    """
    async with calling(host, port, ssl=ssl, within=within) as ask:
        return await ask(path, data)


@asynccontextmanager
async def calling(
    host: str, port: int, *, ssl: ssl_module.SSLContext, within: float
) -> AsyncIterator[Callable[[str, bytes], Awaitable[bytes]]]:
    """Yield a function `ask(path, data)` for calls one after the other over one connection.

    The first call opens the connection; after a broken connection the next call opens another one. `ask` raises
    LinkClosed, LinkRefused and MessageTooLarge.

    Args:
        host: Address of the server.
        port: Port of the server.
        ssl: TLS context.
        within: Seconds for one call, including TLS.
    """
    async with asyncio_loop():
        channel = await trio_asyncio.aio_as_trio(make)(host, port, ssl)

        async def ask(path: str, data: bytes) -> bytes:
            try:
                with trio.fail_after(within):
                    return await _once(channel, path, data)
            except trio.TooSlowError as error:
                raise LinkClosed(f"{host}:{port} did not answer within {within:g} s") from error
            except (OSError, StreamTerminatedError, ProtocolError, AssertionError) as error:
                raise LinkClosed(f"no answer from {host}:{port}: {error}") from error

        try:
            yield ask
        finally:
            with trio.CancelScope(shield=True):
                await trio_asyncio.aio_as_trio(_close)(channel)


async def _close(channel: Channel) -> None:
    """Close the socket at once, because no data is left to send: the loop may end with this call."""
    protocol = channel._protocol
    transport = (
        None if protocol is None else getattr(protocol.connection, "_transport", None)
    )  # None once the server has closed the connection
    channel.close()
    if transport is not None:
        transport.abort()
    for _ in range(3):
        await asyncio.sleep(0)


async def _once(channel: Channel, path: str, data: bytes) -> bytes:
    answer: bytes = await trio_asyncio.aio_as_trio(_call)(channel, path, data)
    return answer


async def _call(channel: Channel, path: str, data: bytes) -> bytes:
    await establish(channel)
    stream: Any = channel.request(path, Cardinality.UNARY_UNARY, bytes, bytes)
    try:
        async with stream:
            await stream.send_message(data, end=True)
            await stream.recv_initial_metadata()
            with stream._wrapper:
                answer = await read(stream._stream, LIMIT)
            if answer is None:
                await stream.recv_trailing_metadata()
                raise ProtocolError("no message in the answer")
            return answer
    except GRPCError as error:
        raise LinkRefused(error.status.value, error.message or error.status.name) from error
    except (StreamTerminatedError, ProtocolError):
        # the server resets the stream right after a status, and grpclib reports the reset
        headers = (
            dict([*(stream._stream.headers or ()), *(stream._stream.trailers or ())])
            if hasattr(stream, "_stream")
            else {}
        )
        code = headers.get("grpc-status", "0")
        if code.isdigit() and code != "0":
            raise LinkRefused(int(code), decode_grpc_message(headers.get("grpc-message", ""))) from None
        raise
