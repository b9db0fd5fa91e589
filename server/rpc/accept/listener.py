"""Accepts connections of agents: limits before any byte is read, then the TLS handshake, then the HTTP/2 fast path."""

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
from server.settings.sections.agent_port import AgentPort
from server.settings.sections.guard import Guard

log = structlog.get_logger(__name__)

_PORT, _GUARD = AgentPort(), Guard()

ACCEPTS_IN_A_ROW = 64
"""Connections that are accepted before the listener waits again for the socket to be readable."""
PAUSE = 0.1
"""Seconds without accepting when the process or the system has no file descriptor left."""
RELEASE_EVERY = 0.5
"""Seconds between two checks for held connections whose time is up."""


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Limits on new connections.

    Attributes:
        connections: open connections.
        per_address: open connections from one address.
        handshakes_per_second: rate of the token bucket for new connections.
        burst: size of that bucket.
        handshakes: concurrent TLS handshakes.
        handshake: seconds for one TLS handshake.
        handshake_bytes: bytes that a peer may send for it.
        threads: threads that compute TLS handshakes.
        refusals_per_minute: refusals of one address after which its connections are closed unread.
        abuse_weight: number of refusals that one protocol violation or flood counts as.
        tarpit_seconds: how long the connections of a blocked address are held open.
        tarpit_connections: connections that are held open at once.
    """

    connections: int = _PORT.connections
    per_address: int = _PORT.connections_per_address
    handshakes_per_second: float = _PORT.handshakes_per_second
    burst: int = _PORT.handshake_burst
    handshakes: int = _PORT.handshakes
    handshake: float = _PORT.handshake_timeout
    handshake_bytes: int = _PORT.handshake_bytes
    threads: int = 2
    refusals_per_minute: int = _GUARD.refusals_per_minute
    abuse_weight: int = _GUARD.abuse_weight
    tarpit_seconds: float = _GUARD.tarpit_seconds
    tarpit_connections: int = _GUARD.tarpit_connections


@dataclass(frozen=True, slots=True)
class AcceptedSocket:
    """A socket that has passed all limits. certificate: DER, None without TLS."""

    sock: socket
    peername: tuple[str, int]
    certificate: bytes | None


class Listener:
    """Accepts connections and hands on those that pass.

    Args:
        sock: the listening socket.
        limits: limits on new connections.
        accepted: called with each socket that has passed. Its owner calls `connection_closed` when it is closed.
        refused: called with the reason of each refusal before a byte was read: too_many, too_many_from_address or
            address_shut_out.
        tls: context of the agent port, None on plaintext loopback.
        handshake_failed: called with "address:port" and the error for each failed handshake.

    Attributes:
        open: connections that were accepted and not yet closed.
    """

    def __init__(
        self,
        sock: socket,
        limits: ListenerLimits,
        accepted: Callable[[AcceptedSocket], None],
        refused: Callable[[str], None],
        tls: ssl.SSLContext | None,
        handshake_failed: Callable[[str, BaseException], None],
    ) -> None:
        self._sock = sock
        self._limits = limits
        self._accepted = accepted
        self._refused = refused
        self._tls = tls
        self._handshake_failed = handshake_failed
        self._open_from: Counter[str] = Counter()
        self._handshakes = TlsHandshakes(limits.handshakes, limits.handshake, limits.handshake_bytes, limits.threads)
        self._abuse = AbuseTracker(limits.refusals_per_minute, limits.abuse_weight)
        self._tarpit = Tarpit(limits.tarpit_seconds, limits.tarpit_connections)
        self.open = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept connections until cancelled."""
        self._sock.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._release_held)
            if self._tls is None:
                await self._accept(self._hand_over, task_status)
            else:
                async with self._handshakes.workers(self._tls):
                    nursery.start_soon(self._finish_handshakes)
                    await self._accept(self._handshakes.add, task_status)

    async def _accept(
        self, enter: Callable[[socket, tuple[str, int]], object], task_status: trio.TaskStatus[None]
    ) -> NoReturn:
        bucket = TokenBucket(self._limits.handshakes_per_second, self._limits.burst, trio.current_time())
        task_status.started()
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            for _ in range(ACCEPTS_IN_A_ROW):
                # While the listener waits, here and below, new connections stay in the kernel's queue.
                await self._handshakes.wait_for_slot()
                try:
                    sock, address = self._sock.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    log.error("accept_paused", error=str(error), open=self.open, after_s=PAUSE)
                    await trio.sleep(PAUSE)
                    break
                peername = (str(address[0]), int(address[1]))
                await trio.sleep(bucket.wait(trio.current_time()))
                if self._admit(sock, peername[0]):
                    sock.setblocking(False)
                    enter(sock, peername)

    def connection_closed(self, address: str) -> None:
        """Note that a connection from this address is closed."""
        self.open -= 1
        self._open_from[address] -= 1
        if not self._open_from[address]:
            del self._open_from[address]

    def record_refusal(self, address: str, severe: bool = False) -> None:
        """Count a connection from this address that was refused or cut off after it had been accepted."""
        self._abuse.record(address, trio.current_time(), severe)

    def _admit(self, sock: socket, address: str) -> bool:
        reason = None
        if self._abuse.is_blocked(address, trio.current_time()):
            reason = "address_shut_out"
        elif self.open >= self._limits.connections:
            reason = "too_many"
        elif self._open_from[address] >= self._limits.per_address:
            reason = "too_many_from_address"
        if reason is not None:
            if reason == "address_shut_out":
                self._tarpit.hold(sock, trio.current_time())
            else:
                sock.close()
            self._refused(reason)
            if reason != "address_shut_out" or self._abuse.is_first_block(address):
                log.warning("connection_refused", port="agent", reason=reason, peer=address)
            return False
        self.open += 1
        self._open_from[address] += 1
        return True

    def _hand_over(self, sock: socket, peername: tuple[str, int]) -> None:
        self._accepted(AcceptedSocket(sock, peername, None))

    async def _finish_handshakes(self) -> None:
        """Hand on the sockets whose handshake succeeded, and refuse the others."""
        while True:
            for slot in await self._handshakes.wait_ended():
                self._handshakes.remove(slot)
                if slot.error is None:
                    self._accepted(AcceptedSocket(slot.sock, slot.peername, slot.certificate))
                else:
                    self._reject_handshake(slot, slot.error)
            await trio.lowlevel.checkpoint()

    async def _release_held(self) -> None:
        try:
            while True:
                await trio.sleep(RELEASE_EVERY)
                self._tarpit.release(trio.current_time())
        finally:
            self._tarpit.release(float("inf"))

    def _reject_handshake(self, slot: HandshakeSlot, error: Exception) -> None:
        address, port = slot.peername
        slot.sock.close()
        self.connection_closed(address)
        if slot.is_peers_fault():
            self.record_refusal(address)
        self._handshake_failed(f"{address}:{port}", error)
