"""grpclib's channel, as agents use it: with messages of bytes, to one address."""

from __future__ import annotations

import ssl as ssl_module

from grpclib.client import Channel

from proto.link.frames import Bytes


async def make(host: str, port: int, ssl: ssl_module.SSLContext | None) -> Channel:
    """Runs under asyncio, as all that is done with it."""
    return Channel(host, port, codec=Bytes(), ssl=ssl)


async def establish(channel: Channel) -> None:
    """Dial, unless it is connected. Raises OSError, also for a connection that was lost as soon as it was there:
    grpclib would fail with AttributeError."""
    await channel.__connect__()
    if not channel._connected:
        raise ConnectionResetError("the connection was lost as soon as it was there")
