"""Who gets in: limits before any byte is read, then the TLS handshake, then the connection belongs to the lane."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from typing import NoReturn

import structlog
import trio

from proto.common.token_bucket import TokenBucket
from server.rpc.accept.abuse import AbuseTracker, Tarpit
from server.rpc.accept.tls_handshakes import TlsHandshakes
from server.rpc.accept.tls_worker import HandshakeSlot

log = structlog.get_logger("rpc.listener")

ACCEPTS_IN_A_ROW = 64
PAUSE = 0.1
"""Seconds without accepting when the process or the system has no file descriptor left."""
RELEASE_EVERY = 0.5
"""Seconds between two looks for held connections whose time is up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """connections: at once. per_address: of those, from one address. handshakes_per_second, burst: of a token bucket.
    handshakes: TLS handshakes at once; handshake: seconds for each; handshake_bytes: that a peer may send for it.
    threads: see `Handshakes`.
    refusals_per_minute: of one address, after which its connections are closed unread, tarpit_seconds after they came;
    tarpit_connections: held so at once.
    abuse_weight: as which a cut off for a flood or for breaking the protocol counts."""

    connections: int = 15_000
    per_address: int = 15_000
    handshakes_per_second: float = 1_000.0
    burst: int = 500
    handshakes: int = 500
    handshake: float = 10.0
    handshake_bytes: int = 32 << 10
    threads: int = 2
    refusals_per_minute: int = 120
    abuse_weight: int = 20
    tarpit_seconds: float = 10.0
    tarpit_connections: int = 1_024


@dataclass(frozen=True, slots=True)
class Arrival:
    """A socket that has passed. certificate: DER, None without TLS."""

    sock: socket
    peername: tuple[str, int]
    certificate: bytes | None


class Listener:
    """`arrived` is called for each socket that has passed; whoever takes it calls `left` when it is closed.

    refused: told why somebody was turned away before a byte was read (too_many, too_many_from_address,
    address_shut_out). failed:
    told whose handshake did not end well.
    """

    def __init__(
        self,
        sock: socket,
        limits: Limits,
        arrived: Callable[[Arrival], None],
        refused: Callable[[str], None],
        tls: ssl.SSLContext | None,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._sock, self._limits, self._arrived = sock, limits, arrived
        self._refused, self._tls, self._failed = refused, tls, failed
        self._from: Counter[str] = Counter()
        self._handshakes = TlsHandshakes(limits.handshakes, limits.handshake, limits.handshake_bytes, limits.threads)
        self._offenders = AbuseTracker(limits.refusals_per_minute, limits.abuse_weight)
        self._pit = Tarpit(limits.tarpit_seconds, limits.tarpit_connections)
        self.open = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until cancelled."""
        self._sock.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._release)
            if self._tls is None:
                await self._accept(self._enter, task_status)
            else:
                async with self._handshakes.computing(self._tls):
                    nursery.start_soon(self._finish)
                    await self._accept(self._handshakes.begin, task_status)

    async def _accept(
        self, enter: Callable[[socket, tuple[str, int]], object], task_status: trio.TaskStatus[None]
    ) -> NoReturn:
        bucket = TokenBucket(self._limits.handshakes_per_second, self._limits.burst, trio.current_time())
        task_status.started()
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            for _ in range(ACCEPTS_IN_A_ROW):
                # Waiting, here and below, leaves the others in the kernel's queue.
                await self._handshakes.room()
                try:
                    sock, address = self._sock.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    log.error("cannot accept; waiting for connections to close", error=str(error), open=self.open)
                    await trio.sleep(PAUSE)
                    break
                peername = (str(address[0]), int(address[1]))
                await trio.sleep(bucket.wait(trio.current_time()))
                if self._admit(sock, peername[0]):
                    sock.setblocking(False)
                    enter(sock, peername)

    def left(self, address: str) -> None:
        """A connection from this address is closed."""
        self.open -= 1
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]

    def offended(self, address: str, grave: bool = False) -> None:
        """A connection from this address was refused or cut off after it had been let in. grave: see `is_grave`."""
        self._offenders.refused(address, trio.current_time(), grave)

    def _admit(self, sock: socket, address: str) -> bool:
        reason = None
        if self._offenders.shut_out(address, trio.current_time()):
            reason = "address_shut_out"
        elif self.open >= self._limits.connections:
            reason = "too_many"
        elif self._from[address] >= self._limits.per_address:
            reason = "too_many_from_address"
        if reason is not None:
            if reason == "address_shut_out":
                self._pit.hold(sock, trio.current_time())
            else:
                sock.close()
            self._refused(reason)
            if reason != "address_shut_out" or self._offenders.first_time(address):
                log.warning("connection refused", port="agent", reason=reason, peer=address)
            return False
        self.open += 1
        self._from[address] += 1
        return True

    def _enter(self, sock: socket, peername: tuple[str, int]) -> None:
        self._arrived(Arrival(sock, peername, None))

    async def _finish(self) -> None:
        """The ends of handshakes."""
        while True:
            for place in await self._handshakes.ended():
                self._handshakes.end(place)
                if place.error is None:
                    self._arrived(Arrival(place.sock, place.peername, place.certificate))
                else:
                    self._turn_away(place, place.error)
            await trio.lowlevel.checkpoint()

    async def _release(self) -> None:
        try:
            while True:
                await trio.sleep(RELEASE_EVERY)
                self._pit.release(trio.current_time())
        finally:
            self._pit.release(float("inf"))

    def _turn_away(self, place: HandshakeSlot, error: Exception) -> None:
        address, port = place.peername
        place.sock.close()
        self.left(address)
        if place.blamed():
            self.offended(address)
        self._failed(f"{address}:{port}", error)
