"""A TCP proxy that injects network faults: one listening port per peer, each with its own fault profile.

Data lost on a connection stays lost. A connection that swallowed bytes never carries data again, like a half-open
connection (RFC 9293 3.5.1). The proxy runs in trio and its ports are used from the same loop.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import trio

Direction = Literal["up", "down"]
"""up: from the connecting peer to the server behind the proxy port."""
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST (socket(7))."""
RETRANSMIT = 0.2
"""Seconds: minimum time before Linux retransmits (TCP_RTO_MIN in net/tcp.h; RFC 6298 5.5 doubles it)."""
Tap = Callable[["Link", Direction, bytes], None]


@dataclass
class LinkConditions:
    """Fault profile of a proxy port.

    Attributes:
        delay: Seconds by which each chunk is delayed.
        rate: Bytes per second.
        swallow: Directions whose bytes are dropped silently.
        hold: Nothing is carried until the profile changes, and nothing is lost.
        cut: In these directions half of the next chunk is passed, then the connection is reset.
        deaf: Connections are accepted but never carried on.
        loss: Share of lost chunks, as seen by the ends of a TCP connection: they arrive after RETRANSMIT, and twice as
            late with each further loss.
    """

    delay: float = 0.0
    rate: float | None = None
    swallow: frozenset[Direction] = frozenset()
    hold: trio.Event | None = None
    cut: frozenset[Direction] = frozenset()
    deaf: bool = False
    loss: float = 0.0


class Link:
    """One proxied connection.

    Attributes:
        lost: Directions in which bytes were swallowed.
        drop_reply: The next bytes from the server end the connection instead of being passed on.
    """

    def __init__(self, proxy: ProxyPort, outside: trio.SocketStream) -> None:
        self.proxy, self.outside = proxy, outside
        self.inside: trio.SocketStream | None = None
        self.lost: set[Direction] = set()
        self.drop_reply = False

    def reset(self) -> None:
        """Send RST to both sides."""
        for stream in (self.outside, self.inside):
            if stream is not None:
                with suppress(OSError, trio.ClosedResourceError):
                    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                stream.socket.close()

    async def ignore(self) -> None:
        """Wait until the other side closes."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self.outside.receive_some(CHUNK):
                pass

    async def carry(self) -> None:
        try:
            self.inside = await trio.open_tcp_stream(*self.proxy.target, happy_eyeballs_delay=None)
        except OSError:
            self.reset()  # as a host that is there, on a port that nobody listens on
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, "up", self.outside, self.inside)
            nursery.start_soon(self._pump, "down", self.inside, self.outside)

    async def _pump(self, direction: Direction, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                data = await source.receive_some(CHUNK)
                conditions = self.proxy.conditions
                if direction in self.lost or direction in conditions.swallow:
                    self.lost.add(direction)
                    if not data:
                        return  # nor does the other side hear of the end
                    self.proxy.swallowed += len(data)
                    continue
                if conditions.hold is not None:
                    await conditions.hold.wait()
                if conditions.delay:
                    await trio.sleep(conditions.delay)
                pause = RETRANSMIT
                while self.proxy.rng.random() < conditions.loss:
                    await trio.sleep(pause)
                    pause *= 2
                if conditions.rate:
                    await trio.sleep(len(data) / conditions.rate)
                if not data:
                    await sink.send_eof()
                    return
                if direction in conditions.cut:
                    await sink.send_all(data[: len(data) // 2])
                    self.proxy.cuts += 1
                    self.reset()
                    return
                if direction == "down" and self.drop_reply:
                    self.proxy.cuts += 1
                    self.reset()
                    return
                if self.proxy.tap is not None:
                    self.proxy.tap(self, direction, data)
                await sink.send_all(data)
                self.proxy.carried += len(data)
                if self.proxy.passed is not None:
                    self.proxy.passed(self, direction, data)
        if direction not in self.lost:
            self.reset()


@dataclass
class ProxyPort:
    """One proxy port in front of one server.

    Attributes:
        tap: Called before bytes are passed on.
        passed: Called after bytes were passed on.
        cuts: Number of reset connections.
        swallowed: Dropped bytes of all connections.
        carried: Carried bytes of all connections.
    """

    target: tuple[str, int]
    port: int = 0
    conditions: LinkConditions = field(default_factory=LinkConditions)
    tap: Tap | None = None
    passed: Tap | None = None
    links: set[Link] = field(default_factory=set)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    cuts: int = 0
    swallowed: int = 0
    carried: int = 0

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        try:
            await trio.serve_listeners(self._take, [listener], task_status=task_status)
        finally:
            listener.socket.close()

    def reset(self) -> int:
        """Reset all connections; return their number."""
        links = list(self.links)
        for link in links:
            link.reset()
        return len(links)

    async def _take(self, stream: trio.SocketStream) -> None:
        link = Link(self, stream)
        self.links.add(link)
        try:
            await (link.ignore() if self.conditions.deaf else link.carry())
        finally:
            self.links.discard(link)
            for end in (link.outside, link.inside):
                if end is not None:
                    end.socket.close()
