"""The agent's side of a stream: connect, then send and receive messages."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio_asyncio
from grpclib.client import Channel
from grpclib.const import Cardinality
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.metadata import decode_grpc_message

from proto.limits import MESSAGE_BYTES
from proto.link.channel import establish, make
from proto.link.errors import LinkClosed, LinkRefused
from proto.link.frames import Messages
from proto.link.loop import asyncio_loop
from proto.messages import CONNECT, CommandMessage, decode


class ClientStream:
    """The stream to the server. It supports one sender and one receiver at the same time."""

    def __init__(self, stream: Any, limit: int) -> None:
        """Wrap a grpclib stream; `limit` is the largest message in bytes."""
        self._stream, self._messages = stream, Messages(stream._stream, limit)

    async def send(self, message: CommandMessage) -> None:
        """Send a message; wait while the server's window is full. A cancelled send leaves the stream unusable.

        Raises:
            LinkClosed: The connection was lost.
            LinkRefused: The server has ended the call with a status.
        """
        self._raise_status()
        await self._call(self._stream.send_message, bytes(message))

    async def recv(self) -> CommandMessage | None:
        """Return the next message, or None when the server has ended the stream with OK.

        Raises:
            LinkClosed: The connection was lost.
            LinkRefused: The server has ended the call with a status.
            MessageTooLarge: The message exceeds the limit.
            MalformedMessage: The message cannot be decoded.
        """
        data = await self._call(self._read)
        return None if data is None else decode(data)

    async def _read(self) -> bytes | None:
        try:
            return await self._next()
        except StreamTerminatedError as gone:
            # A GOAWAY or the end of the connection cancels the reader; messages received before it, such as a Drain,
            # still count.
            try:
                async with asyncio.timeout(0):
                    data = await self._messages.read()
            except (
                TimeoutError,
                AssertionError,
                AttributeError,
            ):  # AttributeError: grpclib has no transport left for a window update
                raise gone from None
            if data is None:
                self._raise_status()
            return data

    async def _next(self) -> bytes | None:
        stream = self._stream
        if not stream._recv_initial_metadata_done:
            await stream.recv_initial_metadata()
        with stream._wrapper:  # raises inside the block when the connection is lost
            data = await self._messages.read()
            if data is None:
                if not stream._trailers_only:
                    await stream._stream.recv_trailers()
                self._raise_status()
        return data

    async def _call(self, function: Any, *args: Any) -> Any:
        try:
            return await trio_asyncio.aio_as_trio(function)(*args)
        except GRPCError as error:
            raise LinkRefused(error.status.value, error.message or error.status.name) from error
        except (StreamTerminatedError, ProtocolError, ConnectionError, AssertionError) as error:
            # The server resets the stream right after a status, and grpclib reports the reset.
            self._raise_status()
            raise LinkClosed(str(error)) from error

    def _raise_status(self) -> None:
        """Check the status of the call.

        Raises:
            LinkRefused: The server has ended the call with a status other than OK.
        """
        stream = self._stream._stream  # headers and trailers are None until they arrive
        headers = dict([*(stream.headers or ()), *(stream.trailers or ())])
        code = headers.get("grpc-status", "0")
        if code != "0":
            raise LinkRefused(int(code) if code.isdigit() else 2, decode_grpc_message(headers.get("grpc-message", "")))


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    metadata: Mapping[str, str],
    ssl: ssl_module.SSLContext | None = None,
    connect_timeout: float = 10.0,
    max_message: int = MESSAGE_BYTES,
) -> AsyncIterator[ClientStream]:
    """Open a stream to the server. Leaving the context closes the connection.

    Args:
        host: Address of the server.
        port: Agent port of the server.
        metadata: Names and values sent with the request.
        ssl: TLS context, or None for plaintext.
        connect_timeout: Seconds, including TLS.
        max_message: Largest message in bytes.

    Raises:
        LinkClosed: The connection could not be opened.
    """
    async with asyncio_loop():
        channel = await trio_asyncio.aio_as_trio(make)(host, port, ssl)
        try:
            try:
                with trio.fail_after(connect_timeout):
                    stream = await trio_asyncio.aio_as_trio(_open)(channel, metadata)
            except trio.TooSlowError as error:
                raise LinkClosed(f"{host}:{port} did not answer within {connect_timeout:g} s") from error
            except (OSError, StreamTerminatedError, ProtocolError) as error:
                raise LinkClosed(f"cannot connect to {host}:{port}: {error}") from error
            yield ClientStream(stream, max_message)
        finally:
            channel.close()


async def _open(channel: Channel, metadata: Mapping[str, str]) -> Any:
    await establish(channel)
    stream: Any = channel.request(CONNECT, Cardinality.STREAM_STREAM, bytes, bytes, metadata=dict(metadata))
    await stream.__aenter__()  # __aexit__ would wait for trailers; closing the channel ends the call at once
    await stream.send_request()
    return stream
