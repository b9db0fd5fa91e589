"""grpclib's channel as agents use it: messages are bytes, and there is one address."""

from __future__ import annotations

import ssl as ssl_module

from grpclib.client import Channel

from proto.link.frames import Bytes


async def make(host: str, port: int, ssl: ssl_module.SSLContext | None) -> Channel:
    """Create a channel. Must run under asyncio, like all use of the channel."""
    return Channel(host, port, codec=Bytes(), ssl=ssl)


async def establish(channel: Channel) -> None:
    """Connect, unless the channel is connected.

    Raises:
        OSError: The connection failed, or was lost immediately; grpclib would fail with AttributeError in that case.
    """
    await channel.__connect__()
    if not channel._connected:
        raise ConnectionResetError("the connection was lost immediately")
