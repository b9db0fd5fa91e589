"""The private attributes of grpclib that Clarion needs, in one place. tests/proto/link pins each of them.

grpclib has no public way to the connection below a call. Everything else of Clarion calls these functions, so a new
release of grpclib is checked here only.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpclib.utils
import trio_asyncio as trio_asyncio  # it replaces asyncio.current_task
from grpclib.const import Handler

# grpclib keeps asyncio.current_task at its own import. From Python 3.12 on that function is in C and does not know the
# loop of trio-asyncio, so every call would fail with "no running event loop" if grpclib was imported first.
grpclib.utils._current_task = asyncio.current_task


def http2_stream(stream: Any) -> Any:
    """Grpclib's HTTP/2 stream below the stream of a call, of client or server."""
    return stream._stream


def has_http2_stream(stream: Any) -> bool:
    """True if a client's call has been opened."""
    return hasattr(stream, "_stream")


def transport_of(stream: Any) -> Any:
    """The asyncio transport of a call's connection."""
    return stream._stream._transport


def method_name(stream: Any) -> str:
    """The path of a server's call."""
    name: str = stream._method_name
    return name


def take_buffered(stream: Any) -> bytes:
    """Remove the bytes that grpclib has buffered for a call, and acknowledge them to h2."""
    buffer = stream._stream.buffer
    pieces = [bytes(piece.data) for piece in buffer._acked]
    buffer._acked.clear()
    buffer._acked_size = 0
    while not buffer._unacked.empty():
        data, _, ack_size = buffer._unacked.get_nowait()
        pieces.append(data)
        buffer._ack_callback(ack_size)
    return b"".join(pieces)


def h2_of(protocol: Any) -> Any:
    """h2's connection object of grpclib's protocol object, after connection_made."""
    return protocol.connection._connection


def write_raw(protocol: Any, frame: bytes) -> None:
    """Write a frame past h2."""
    protocol.connection._transport.write(frame)


def methods_of(server: Any) -> dict[str, Handler]:
    """Path → handler of grpclib's server."""
    methods: dict[str, Handler] = server._mapping
    return methods


def set_methods(server: Any, methods: dict[str, Handler]) -> None:
    """Replace the methods of grpclib's server."""
    server._mapping = methods


def make_request_handler(server: Any, kind: Any) -> Any:
    """Make and register the request handler of a new connection. kind: a subclass of grpclib.server.Handler."""
    handler = kind(server._mapping, server._codec, server._status_details_codec, server.__dispatch__)
    server._handlers.add(handler)
    return handler


def config_of(server: Any) -> Any:
    """The configuration of grpclib's server."""
    return server._config


def start_task(handler: Any, stream: Any, work: Any) -> None:
    """Run a coroutine as the task of a call, so that grpclib cancels it with the call."""
    handler._tasks[stream] = handler.loop.create_task(work)
