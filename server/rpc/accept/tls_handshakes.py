"""TLS handshakes on the agent port, and what somebody who does not finish his may cost: time, bytes, and a place among
so many."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from socket import socket
from time import monotonic

import trio

from server.rpc.accept.tls_worker import BATCH, LOOK_EVERY, HandshakeSlot, TlsWorker

SHARE = 4
"""When all places are taken, a handshake that waits for its peer has this part of its time."""


class TlsHandshakes:
    """most: at once. timeout: seconds for each. largest: bytes that a peer may need for it. threads: on which TLS is
    computed, so that
    the loop stays free during a storm. `ended` brings what became of them."""

    def __init__(
        self, most: int, timeout: float, largest: int, threads: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._most, self._timeout, self._share, self._largest, self._threads, self._clock = (
            most,
            timeout,
            timeout / SHARE,
            largest,
            threads,
            clock,
        )
        self._shakers: list[TlsWorker] = []
        self._open: dict[HandshakeSlot, None] = {}
        self._ended: deque[HandshakeSlot] = deque()
        self._left, self._some = trio.Event(), trio.Event()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def computing(self, tls: ssl.SSLContext) -> AsyncIterator[None]:
        """The threads, for as long as the block lasts. What has not ended then is closed."""
        token = trio.lowlevel.current_trio_token()

        def told(places: list[HandshakeSlot]) -> None:
            self._ended.extend(places)
            token.run_sync_soon(self._ring, idempotent=True)

        self._shakers = [TlsWorker(tls, self._timeout, self._share, self._largest, told) for _ in range(self._threads)]
        try:
            async with trio.open_nursery() as nursery:
                for shaker in self._shakers:
                    nursery.start_soon(partial(trio.to_thread.run_sync, shaker.run, limiter=trio.CapacityLimiter(1)))
                try:
                    yield
                finally:
                    for shaker in self._shakers:
                        shaker.stop()
        finally:
            for place in self._ended:
                place.sock.close()

    async def room(self) -> None:
        """Return once there is a place. Whoever has kept us waiting for a share of its time gives up its own, the
        oldest first."""
        while len(self._open) >= self._most:
            now = self._clock()
            late = next((place for place in self._open if not place.crowded and place.waited(now) >= self._share), None)
            if late is not None and late.shaker is not None:
                late.crowded = True
                late.shaker.crowd(late)
            with trio.move_on_after(LOOK_EVERY):
                await self._left.wait()

    def begin(self, sock: socket, peername: tuple[str, int]) -> HandshakeSlot:
        """Take a place for a socket that does not block, until `end`."""
        place = HandshakeSlot(sock, peername, self._clock())
        self._open[place] = None
        place.shaker = min(self._shakers, key=len)
        place.shaker.add(place)
        return place

    async def ended(self) -> list[HandshakeSlot]:
        """Some that did, well or not, at least one; `end` each."""
        while not self._ended:
            await self._some.wait()
            self._some = trio.Event()
        return [self._ended.popleft() for _ in range(min(BATCH, len(self._ended)))]

    def end(self, place: HandshakeSlot) -> None:
        """Give it back."""
        del self._open[place]
        self._left.set()
        self._left = trio.Event()

    def _ring(self) -> None:
        self._some.set()
