"""TLS handshakes on the agent port, limited by time, bytes and number of concurrent handshakes."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from socket import socket
from time import monotonic

import trio

from server.rpc.accept.tls_worker import BATCH, CHECK_INTERVAL, HandshakeSlot, TlsWorker

WAIT_SHARE = 4
"""When all slots are taken, a handshake may wait for its peer for 1/WAIT_SHARE of the timeout."""


class TlsHandshakes:
    """The slots for TLS handshakes, and the threads that compute them.

    The event loop stays free during a connection storm because TLS is computed on these threads.

    Args:
        limit: concurrent handshakes.
        timeout: seconds for each handshake.
        max_bytes: bytes that a peer may send for its handshake.
        threads: number of worker threads.
        clock: monotonic seconds.
    """

    def __init__(
        self, limit: int, timeout: float, max_bytes: int, threads: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._limit = limit
        self._timeout = timeout
        self._share = timeout / WAIT_SHARE
        self._max_bytes = max_bytes
        self._threads = threads
        self._clock = clock
        self._workers: list[TlsWorker] = []
        self._open: dict[HandshakeSlot, None] = {}
        self._ended: deque[HandshakeSlot] = deque()
        self._slot_freed = trio.Event()
        self._ended_event = trio.Event()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def workers(self, tls: ssl.SSLContext) -> AsyncIterator[None]:
        """Run the worker threads for the duration of the block; handshakes left at its end are closed."""
        token = trio.lowlevel.current_trio_token()

        def report(slots: list[HandshakeSlot]) -> None:
            self._ended.extend(slots)
            token.run_sync_soon(self._wake, idempotent=True)

        self._workers = [
            TlsWorker(tls, self._timeout, self._share, self._max_bytes, report) for _ in range(self._threads)
        ]
        try:
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(partial(trio.to_thread.run_sync, worker.run, limiter=trio.CapacityLimiter(1)))
                try:
                    yield
                finally:
                    for worker in self._workers:
                        worker.stop()
        finally:
            for slot in self._ended:
                slot.sock.close()

    async def wait_for_slot(self) -> None:
        """Return once a slot is free.

        When all slots are busy, the oldest handshake that has waited for its peer for its share of the time is dropped.
        """
        while len(self._open) >= self._limit:
            now = self._clock()
            overdue = next(
                (slot for slot in self._open if not slot.drop_requested and slot.peer_delay(now) >= self._share), None
            )
            if overdue is not None and overdue.worker is not None:
                overdue.drop_requested = True
                overdue.worker.drop_if_waiting(overdue)
            with trio.move_on_after(CHECK_INTERVAL):
                await self._slot_freed.wait()

    def add(self, sock: socket, peername: tuple[str, int]) -> HandshakeSlot:
        """Start the handshake of a non-blocking socket; it keeps its slot until `remove`."""
        slot = HandshakeSlot(sock, peername, self._clock())
        self._open[slot] = None
        slot.worker = min(self._workers, key=len)
        slot.worker.add(slot)
        return slot

    async def wait_ended(self) -> list[HandshakeSlot]:
        """Return handshakes that ended, successfully or not: at least one. The caller calls `remove` for each."""
        while not self._ended:
            await self._ended_event.wait()
            self._ended_event = trio.Event()
        return [self._ended.popleft() for _ in range(min(BATCH, len(self._ended)))]

    def remove(self, slot: HandshakeSlot) -> None:
        """Free the slot of a handshake that ended."""
        del self._open[slot]
        self._slot_freed.set()
        self._slot_freed = trio.Event()

    def _wake(self) -> None:
        self._ended_event.set()
