"""A TCP proxy that spoils what it carries, in ways that a kernel can spoil it: one door for each peer, one weather for
each door.

What has been lost on a connection stays lost: a connection that swallowed bytes never carries any again, as with a
network that
forgot it (RFC 9293 3.5.1, half-open connections). Runs in trio; its doors are used from the same loop.
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
"""up: from whoever dialled to the server behind the door."""
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST (socket(7))."""
RETRANSMIT = 0.2
"""Seconds: the least time after which Linux sends again what was not acknowledged (TCP_RTO_MIN in net/tcp.h; RFC 6298
5.5 doubles it)."""
Tap = Callable[["Link", Direction, bytes], None]


@dataclass
class Weather:
    """delay: seconds each chunk waits. rate: bytes per second. swallow: directions whose bytes vanish without a word.
    hold: nothing
    is carried until it is over, and nothing is lost. cut: the next chunk in one of these directions is passed by half,
    then the
    connection is reset. deaf: a new connection is accepted and never carried on. loss: share of chunks that are lost on
    the way, as the ends
    of a TCP connection see it: they come when they have been sent again, after RETRANSMIT and twice as long with each
    further loss."""

    delay: float = 0.0
    rate: float | None = None
    swallow: frozenset[Direction] = frozenset()
    hold: trio.Event | None = None
    cut: frozenset[Direction] = frozenset()
    deaf: bool = False
    loss: float = 0.0


class Link:
    """One connection that is carried. lost: directions in which bytes were swallowed. drop_reply: the next bytes from
    the server
    end it instead of being passed on."""

    def __init__(self, door: Door, outside: trio.SocketStream) -> None:
        self.door, self.outside = door, outside
        self.inside: trio.SocketStream | None = None
        self.lost: set[Direction] = set()
        self.drop_reply = False

    def reset(self) -> None:
        """RST to both sides."""
        for stream in (self.outside, self.inside):
            if stream is not None:
                with suppress(OSError, trio.ClosedResourceError):
                    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                stream.socket.close()

    async def ignore(self) -> None:
        """Until the other side gives up."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self.outside.receive_some(CHUNK):
                pass

    async def carry(self) -> None:
        try:
            self.inside = await trio.open_tcp_stream(*self.door.target, happy_eyeballs_delay=None)
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
                weather = self.door.weather
                if direction in self.lost or direction in weather.swallow:
                    self.lost.add(direction)
                    if not data:
                        return  # nor does the other side hear of the end
                    self.door.swallowed += len(data)
                    continue
                if weather.hold is not None:
                    await weather.hold.wait()
                if weather.delay:
                    await trio.sleep(weather.delay)
                pause = RETRANSMIT
                while self.door.rng.random() < weather.loss:
                    await trio.sleep(pause)
                    pause *= 2
                if weather.rate:
                    await trio.sleep(len(data) / weather.rate)
                if not data:
                    await sink.send_eof()
                    return
                if direction in weather.cut:
                    await sink.send_all(data[: len(data) // 2])
                    self.door.cuts += 1
                    self.reset()
                    return
                if direction == "down" and self.drop_reply:
                    self.door.cuts += 1
                    self.reset()
                    return
                if self.door.tap is not None:
                    self.door.tap(self, direction, data)
                await sink.send_all(data)
                self.door.carried += len(data)
                if self.door.passed is not None:
                    self.door.passed(self, direction, data)
        if direction not in self.lost:
            self.reset()


@dataclass
class Door:
    """One port in front of one server. tap: called before bytes are passed on; passed: after. cuts, swallowed, carried:
    of all its
    connections, swallowed and carried in bytes."""

    target: tuple[str, int]
    port: int = 0
    weather: Weather = field(default_factory=Weather)
    tap: Tap | None = None
    passed: Tap | None = None
    links: set[Link] = field(default_factory=set)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    cuts: int = 0
    swallowed: int = 0
    carried: int = 0

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """For ever."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        try:
            await trio.serve_listeners(self._take, [listener], task_status=task_status)
        finally:
            listener.socket.close()

    def reset(self) -> int:
        """RST on all its connections; how many there were."""
        links = list(self.links)
        for link in links:
            link.reset()
        return len(links)

    async def _take(self, stream: trio.SocketStream) -> None:
        link = Link(self, stream)
        self.links.add(link)
        try:
            await (link.ignore() if self.weather.deaf else link.carry())
        finally:
            self.links.discard(link)
            for end in (link.outside, link.inside):
                if end is not None:
                    end.socket.close()
