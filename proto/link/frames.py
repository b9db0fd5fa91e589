"""gRPC messages on an HTTP/2 stream: a flag, a length of four bytes, the data.

See "Length-Prefixed-Message" in the gRPC document PROTOCOL-HTTP2.
"""

from __future__ import annotations

from typing import Any

from grpclib.encoding.base import CodecBase

from proto.link.errors import LinkRefused, MessageTooLarge

UNIMPLEMENTED = 12
PREFIX = 5


class Bytes(CodecBase):
    """Codec that passes bytes through grpclib; encoding and decoding happen above it."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        """Return the message as bytes."""
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        """Return the received bytes."""
        return data


class Messages:
    """Reads messages of at most `limit` bytes from a grpclib.protocol.Stream. A cancelled read can be repeated."""

    def __init__(self, stream: Any, limit: int) -> None:
        """Wrap a grpclib stream."""
        self._stream, self._limit = stream, limit
        self._length: int | None = None

    async def read(self) -> bytes | None:
        """Return the next message, or None at the end. Must run under asyncio.

        Raises:
            MessageTooLarge: The message exceeds the limit. No byte of it is buffered; grpclib itself would accept 4
                GiB.
            LinkRefused: The message is compressed.
        """
        if self._length is None:
            prefix = await self._stream.recv_data(PREFIX)
            if not prefix:
                return None
            if prefix[0]:
                raise LinkRefused(UNIMPLEMENTED, "compressed messages are not supported")
            length = int.from_bytes(prefix[1:], "big")
            if length > self._limit:
                raise MessageTooLarge(f"{length} bytes announced, {self._limit} allowed")
            self._length = length
        data: bytes = await self._stream.recv_data(self._length)
        self._length = None
        return data


async def read(stream: Any, limit: int) -> bytes | None:
    """Read one message; see Messages.read."""
    return await Messages(stream, limit).read()
