"""One gRPC message on an HTTP/2 stream: a flag, a length of four bytes, the bytes (grpc PROTOCOL-HTTP2,
"Length-Prefixed-Message")."""

from __future__ import annotations

from typing import Any

from grpclib.encoding.base import CodecBase

from proto.link.errors import LinkRefused, MessageTooLarge

UNIMPLEMENTED = 12
PREFIX = 5


class Bytes(CodecBase):
    """Messages travel through grpclib as the bytes they are; encoding and decoding happen above it."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


class Messages:
    """The messages of a grpclib.protocol.Stream, of at most `limit` bytes each. A read that was cancelled can be begun
    again."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._length: int | None = None

    async def read(self) -> bytes | None:
        """The next message, or None at the end. Runs under asyncio.

        Raises MessageTooLarge before a byte of a message beyond the limit is buffered: grpclib itself would take 4 GiB.
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
    """One message; see Messages.read."""
    return await Messages(stream, limit).read()
