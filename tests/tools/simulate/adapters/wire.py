"""Connections between the trio code of both sides: memory streams with delay, which can be cut or silenced.

Also replaces the fast path in the server.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import trio
from trio import StapledStream
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair

from _speedups.messages import decode as row_of
from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import CommandMessage, decode
from server.rpc.session.streams import GONE, HELLO

PREFIX = 4


class Poller:
    """Replaces the fast path's poller: rows of all connections, and a descriptor that is readable when
    there are some.
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rows: list[tuple[Any, ...]] = []

    def fileno(self) -> int:
        return self._fd

    def put(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        os.eventfd_write(self._fd, 1)

    def prefer(self, conn: Any, until: float) -> None:
        """Does nothing: the simulation's schedule decides whose bytes come first."""

    def poll(self, now: float, max_events: int = 256) -> list[tuple[Any, ...]]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        rows, self._rows = self._rows, []
        return rows

    def overdue(self, now: float) -> None:
        """Return nothing, because no connection waits for the rest of a message."""

    def close(self) -> None:
        os.close(self._fd)


class Wire:
    """One connection. dumb: messages in both directions are lost, without an error."""

    def __init__(self, rng: Random) -> None:
        self.client, self.server = memory_stream_pair()
        self._rng = rng
        self.dumb = False

    async def send(self, stream: trio.abc.SendStream, message: bytes) -> None:
        await trio.sleep(self._rng.uniform(0.0002, 0.01))
        if not self.dumb:
            await stream.send_all(len(message).to_bytes(PREFIX, "big") + message)

    async def receive(self, stream: trio.abc.ReceiveStream) -> bytes | None:
        """Return the next message, or None at the end.

        Raises:
            trio.BrokenResourceError: The connection was cut. trio.ClosedResourceError: This side has closed it.
        """
        head = await _exactly(stream, PREFIX)
        return None if head is None else await _exactly(stream, int.from_bytes(head, "big"))

    def cut(self) -> None:
        """Break the connection: both sides get an error, and messages in transit are lost. A silenced connection shows
        no error.
        """
        if not self.dumb:
            for side in (self.client, self.server):
                side.send_stream.close()
                side.receive_stream.close()

    def close(self, side: StapledStream[MemorySendStream, MemoryReceiveStream]) -> None:
        """Close one side, in whatever state it is."""
        side.receive_stream.close()
        self.cut()


async def _exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        piece = await stream.receive_some(size - len(data))
        if not piece:
            return None
        data += piece
    return data


BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class ClientStream:
    """Replaces proto.link.client.ClientStream."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, message: CommandMessage) -> None:
        try:
            await self._wire.send(self._wire.client, bytes(message))
        except BROKEN as error:
            raise LinkClosed(str(error)) from error

    async def recv(self) -> CommandMessage | None:
        try:
            data = await self._wire.receive(self._wire.client)
        except BROKEN as error:
            raise LinkClosed(str(error)) from error
        if data is not None and not data:
            raise LinkRefused(10, "the session was ended")
        return None if data is None else decode(data)


class Conn:
    """Replaces the fast path's connection in the server, including grpclib and h2. Empty messages end the call."""

    certificate: bytes | None = None
    peer = "192.0.2.1:1"

    def __init__(self, poller: Poller, wire: Wire, clock: Callable[[], float]) -> None:
        self.conn = self
        self.agent_stream: Any = None
        self.refusal: Any = None
        self.closed = False
        self.queued_bytes = 0
        self.last_read = clock()
        self._poller, self._wire, self._clock = poller, wire, clock
        self._to_send: list[bytes | None] = []
        self._stirred = trio.Event()
        self._tag: Any = None
        self._sent = 0

    # --- as the edge and the handshake use it
    # ----------------------------------------------------------------------------

    def attach(self, stream: int, tag: Any, leftover: bytes, most: int) -> None:
        self._tag = tag

    def detach(self) -> None:
        self._tag = None

    def send(self, messages: list[bytes]) -> None:
        self._to_send += messages
        self.queued_bytes += sum(map(len, messages))
        self._stirred.set()

    def counts(self) -> dict[str, int]:
        return {"bytes_out": self._sent}

    def accept(self) -> None:
        """Accept the call's headers; a memory stream has none."""

    def goaway(self) -> None:
        """End the connection's only stream."""

    def on_refused(self, grave: bool) -> None:
        """Ignore the violation."""

    def finish(self, error: Any) -> None:
        self._to_send += [b"", None] if error is not None else [None]
        self._stirred.set()

    def abort(self, reason: str = "") -> None:
        self.closed = True
        self._wire.close(self._wire.server)

    close = abort

    # --- its two tasks
    # ---------------------------------------------------------------------------------------------------

    async def write(self) -> None:
        with suppress(*BROKEN):
            while True:
                await self._stirred.wait()
                self._stirred = trio.Event()
                waiting, self._to_send = self._to_send, []
                for message in waiting:
                    if message is None:
                        await self._wire.server.send_eof()
                        return
                    await self._wire.send(self._wire.server, message)
                    self._sent += len(message)
                    self.queued_bytes = max(0, self.queued_bytes - len(message))

    async def read(self) -> None:
        why = "ended"
        try:
            while (data := await self._wire.receive(self._wire.server)) is not None:
                self.last_read = self._clock()
                if self._tag is not None:
                    first = getattr(self._tag, "session", None) is None
                    self._poller.put(
                        (self._tag, HELLO, data)
                        if first
                        else row_of(self._tag, data, 0, len(data)) or (self._tag, 0, data)
                    )
        except BROKEN:
            why = "reset"
        self.closed = True
        if self._tag is not None:
            self._poller.put((self._tag, GONE, why))
