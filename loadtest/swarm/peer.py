"""Connections of one simulated host: connect, Hello, Welcome, messages until it breaks, a random pause, reconnect."""

from __future__ import annotations

import os
import random
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from loadtest.swarm.agent import Agent, Now, Wake
from loadtest.swarm.config import Config, Contexts
from loadtest.swarm.faults import LIES, NONE, Fault
from loadtest.swarm.names import address_of
from loadtest.swarm.protocol import decode, encode
from loadtest.swarm.protocol.h2 import Broken, Call
from loadtest.swarm.protocol.protobuf import Malformed
from loadtest.swarm.protocol.transport import CHUNK, Plain, Tls, Transport, dial

AWAY, DIALING, SHAKING, GREETING, TALKING = range(5)
JITTER = 0.1
READS = 16
"""Reads from one connection before the other connections are served."""


class PeerLoop(Protocol):
    """The part of loadtest.swarm.loop.Loop that a peer uses."""

    config: Config
    context_of: Contexts
    rng: random.Random
    now: Now
    block: bytes

    def later(self, seconds: float, peer: Peer, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function after `seconds`, if the peer still has the same connection."""

    def wake(self, peer: Peer, wake: Wake) -> None:
        """Call `peer.due` at the time of the Wake."""

    def want_dial(self, peer: Peer) -> None:
        """Queue a connection attempt."""

    def again(self, peer: Peer) -> None:
        """Read from this peer again after the other peers."""

    def watch(self, peer: Peer, fd: int) -> None:
        """Start to report epoll events of this descriptor to the peer."""

    def change(self, peer: Peer) -> None:
        """Apply the peer's changed event mask."""

    def forget(self, peer: Peer) -> None:
        """Stop to report events."""

    def welcomed(self, peer: Peer) -> None:
        """Count a connection that received Welcome."""

    def ended(self, peer: Peer, why: str) -> None:
        """Count a connection that ended."""

    def count(self, name: str) -> None:
        """Increment an event counter."""


class Peer:
    """One simulated host.

    States: AWAY, DIALING (TCP), SHAKING (TLS), GREETING (Hello sent), TALKING (Welcome received).
    """

    __slots__ = (
        "agent",
        "beat",
        "call",
        "dialed_at",
        "failures",
        "fault",
        "generation",
        "interval",
        "loop",
        "mask",
        "received_at",
        "silence",
        "sock",
        "state",
        "transport",
        "welcomed_at",
    )

    def __init__(self, loop: PeerLoop, agent: Agent) -> None:
        self.loop, self.agent = loop, agent
        self.state, self.fault = AWAY, NONE
        self.sock: socket.socket | None = None
        self.transport: Transport | None = None
        self.call: Call | None = None
        self.mask = self.failures = self.generation = self.beat = 0
        self.dialed_at = self.welcomed_at = self.received_at = 0.0
        self.interval, self.silence = loop.config.heartbeat, loop.config.silence

    # --- connecting ---------------------------------------------------------------------------------------------------

    def dial(self) -> None:
        self.generation += 1
        self.dialed_at, self.welcomed_at = self.loop.now.mono, 0.0
        self.loop.count("dialed")
        try:
            self.sock, connected = dial(
                self.loop.config.host, self.loop.config.port, address_of(self.agent.index, self.loop.config.host)
            )
        except OSError as error:
            self.loop.later(0.0, self, self._refused, str(error))
            return
        self.state, self.mask = DIALING, select.EPOLLOUT
        self.loop.watch(self, self.sock.fileno())
        self.loop.later(
            self.loop.config.connect_timeout,
            self,
            self._too_late,
            GREETING,
            f"no connection within {self.loop.config.connect_timeout:g} s",
        )
        if connected:
            self.ready(select.EPOLLOUT)

    def _refused(self, why: str) -> None:
        self.end(why)

    def _too_late(self, wanted: int, why: str) -> None:
        if AWAY < self.state < wanted:
            self.loop.count("hello_timeouts" if wanted == TALKING else "connect_timeouts")
            self.end(why)

    def ready(self, events: int) -> None:
        """Handle epoll events of this connection."""
        try:
            if self.state == DIALING:
                self._connected()
            if self.state == SHAKING:
                self._continue_handshake()
            elif self.state >= GREETING:
                if events & ~select.EPOLLOUT and not self.fault.unread:
                    self._read(CHUNK, READS)
                elif events & (select.EPOLLHUP | select.EPOLLERR):
                    self.end("the connection broke")
                if self.state >= GREETING:
                    self.flush()
        except (OSError, Broken, Malformed) as error:
            if isinstance(error, Broken | Malformed):
                self.loop.count("protocol_errors")
            self.end(str(error) or repr(error))

    def _connected(self) -> None:
        assert self.sock is not None
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        context = self.loop.context_of(self.agent.index)
        if context is None:
            self.transport = Plain(self.sock)
            self._send_hello()
        else:
            self._wrap(self.sock, context)
            self.state = SHAKING

    def _wrap(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        # wrapping moves the file descriptor from the plain socket to the TLS socket
        self.transport, self.sock = Tls(sock, context, self.loop.config.server_name), None

    def _continue_handshake(self) -> None:
        assert self.transport is not None
        wanted = self.transport.handshake()
        if wanted:
            self._want(wanted)
        else:
            self._send_hello()

    def _send_hello(self) -> None:
        self.state, self.received_at = GREETING, self.loop.now.mono
        self.call = Call(self.loop.block)
        self.call.send(self.agent.hello())
        self.loop.later(
            self.loop.config.hello_timeout,
            self,
            self._too_late,
            TALKING,
            f"no Welcome within {self.loop.config.hello_timeout:g} s",
        )
        self._want(0 if self.fault.unread else select.EPOLLIN)
        self.flush()
        if self.fault.kind == "slow":
            self._read_slowly()

    # --- messages -----------------------------------------------------------------------------------------------------

    def _read(self, size: int, times: int) -> None:
        assert self.transport is not None and self.call is not None
        if self._cut_now():
            return
        for _ in range(times):
            data = self.transport.recv(size)
            if data is None:
                return
            if not data:
                self.end(self.call.ended or "the server closed the connection")
                return
            if self._cut_now():
                return
            self.received_at = self.loop.now.mono
            for message in self.call.receive(data):
                self._hear(message)
                if self.state < GREETING:
                    return
            if self.call.ended:
                self.end(self.call.ended)
                return
            if len(data) < size and not self.transport.pending():
                return
        self.loop.again(self)

    def _hear(self, raw: bytes) -> None:
        message = decode.decode(raw)
        now = self.loop.now
        if isinstance(message, decode.Drain):
            self.loop.count("drains")
            low, high = sorted((message.retry_min_ms, message.retry_max_ms))
            self.end(f"drain: {message.reason}", self.loop.rng.uniform(low, high) / 1000)
        elif isinstance(message, decode.Welcome):
            if self.state != GREETING:
                raise Malformed("a second welcome")
            self.state, self.welcomed_at = TALKING, now.mono
            self.interval = message.heartbeat_ms / 1000 or self.interval
            self.silence = message.silence_ms / 1000 or self.silence
            self.loop.welcomed(self)
            self.agent.welcome(message, now)
            self.loop.later(self._next_beat(), self, self._heartbeat)
        elif self.state != TALKING:
            raise Malformed("the first message must be welcome")
        elif message is not None:
            self.agent.handle(message, now)

    def _next_beat(self) -> float:
        return self.interval * self.loop.rng.uniform(1 - JITTER, 1 + JITTER)

    def _heartbeat(self) -> None:
        if self.loop.now.mono - self.received_at > self.silence and not self.fault.unread:
            self.end(f"the server sent nothing for {self.silence:g} s")
            return
        self.beat += 1
        if self.fault.kind != "silent":
            self.agent.say.append(encode.heartbeat(self.beat, answer=False, running=self.agent.journal.running))
            self.safely_flush()
        self.loop.later(self._next_beat(), self, self._heartbeat)

    def flush(self) -> None:
        """Send the agent's messages, in one write if the socket accepts them.

        Raises:
            OSError: The connection is broken.
        """
        agent, call = self.agent, self.call
        for wake in agent.wakes:
            self.loop.wake(self, wake)
        agent.wakes.clear()
        if call is None or self.transport is None or self.fault.kind == "silent":
            return
        if agent.say:
            if self._cut_now():
                return
            for message in agent.say:
                call.send(message)
            agent.say.clear()
        if call.out:
            if self.fault.kind == "dying" and self._cut_now(len(call.out)):
                return
            sent = self.transport.send(call.out)
            del call.out[:sent]
        reading = 0 if self.fault.unread else select.EPOLLIN
        self._want(reading | (select.EPOLLOUT if call.out else 0))

    def safely_flush(self) -> None:
        try:
            if self.state >= GREETING:
                self.flush()
        except OSError as error:
            self.end(str(error))

    def due(self, wake: Wake) -> None:
        self.agent.due(wake)
        self.safely_flush()

    def _want(self, mask: int) -> None:
        if mask != self.mask:
            self.mask = mask
            self.loop.change(self)

    # --- faults and the end -------------------------------------------------------------------------------------------

    def set_fault(self, fault: Fault) -> None:
        """Start a fault; NONE heals."""
        self.fault = fault
        self.agent.lie = fault.kind if fault.kind in LIES else ""
        if self.state < GREETING:
            return
        if fault.kind == "slow":
            self._read_slowly()
        self._want(0 if fault.unread else select.EPOLLIN)
        self.safely_flush()

    def _read_slowly(self) -> None:
        if self.fault.kind != "slow" or self.state < GREETING:
            return
        try:
            self._read(self.fault.bytes, 1)
            if self.state >= GREETING:
                self.flush()
                self.loop.later(self.fault.every, self, self._read_slowly)
        except (OSError, Broken, Malformed) as error:
            self.end(str(error) or repr(error))

    def _cut_now(self, unsent: int = 0) -> bool:
        """Cut the connection with the fault's probability; a random part of `unsent` bytes is still sent."""
        if self.fault.kind != "dying" or self.state != TALKING or self.loop.rng.random() >= self.fault.probability:
            return False
        if unsent and self.transport is not None and self.call is not None:
            self.transport.send(self.call.out[: self.loop.rng.randrange(unsent)])
        self.loop.count("cut")
        self.end("cut", reset=self.loop.rng.random() < 0.5)
        return True

    def end(self, why: str, pause: float | None = None, *, reset: bool = False) -> None:
        """End this connection and schedule the next one after `pause` seconds, or after a random backoff."""
        self.loop.ended(self, why)
        self.close(reset=reset)
        if pause is not None or (
            self.welcomed_at and self.loop.now.mono - self.welcomed_at >= self.loop.config.settled
        ):
            self.failures = 0
        if pause is None:
            most = min(self.loop.config.backoff_max, self.loop.config.backoff_base * 2.0 ** min(self.failures, 62))
            pause = self.loop.rng.uniform(0.0, most)
            self.failures += 1
        self.loop.later(pause, self, self._redial)

    def _redial(self) -> None:
        if self.state == AWAY:
            self.loop.want_dial(self)

    def close(self, *, reset: bool = False) -> None:
        self.generation += 1
        self.loop.forget(self)
        if self.transport is not None:
            self.transport.close(reset=reset)
        elif self.sock is not None:
            self.sock.close()
        self.state, self.sock, self.transport, self.call, self.mask = AWAY, None, None, None, 0
        self.agent.disconnected()
