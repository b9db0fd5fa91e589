"""One gRPC message on an HTTP/2 stream: a flag, a length of four bytes, the bytes (grpc PROTOCOL-HTTP2, "Length-Prefixed-Message")."""

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


async def read(stream: Any, limit: int) -> bytes | None:
    """The next message of a grpclib.protocol.Stream, or None at its end. Runs under asyncio.

    Raises MessageTooLarge before a byte of a message beyond `limit` is buffered: grpclib itself would take 4 GiB.
    """
    prefix = await stream.recv_data(PREFIX)
    if not prefix:
        return None
    if prefix[0]:
        raise LinkRefused(UNIMPLEMENTED, "compressed messages are not supported")
    length = int.from_bytes(prefix[1:], "big")
    if length > limit:
        raise MessageTooLarge(f"{length} bytes announced, {limit} allowed")
    data: bytes = await stream.recv_data(length)
    return data
