"""Connections of the enrolment port, with the same guard as on the agent port, on grpclib's own connections.

Few hosts join at a time. So frames are split in Python, and the event loop computes TLS handshakes,
`handshakes_per_second` of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from _speedups.http2.frames import HEADER, PREFACE, goaway
from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, PROTOCOL_ERROR, Buckets, ConnectionLimits, rates
from proto.common.token_bucket import TokenBucket
from proto.link.grpclib_internals import h2_of
from server.rpc.accept.abuse import AbuseTracker, is_severe, refusal_label
from server.security.connection_slots import ConnectionSlot, ConnectionSlots, NoFreeSlot
from server.settings.sections.enrol import Enrol
from server.settings.sections.guard import Guard as GuardSettings

log = structlog.get_logger(__name__)

_ENROL, _GUARD = Enrol(), GuardSettings()

CHECK_INTERVAL = 1.0
"""Seconds between two checks of a connection for timeouts."""


@dataclass(frozen=True, slots=True)
class EnrolmentPortLimits:
    """Limits of the enrolment port.

    Attributes:
        connections: open connections.
        per_address: open connections from one address.
        handshakes_per_second: new connections per second.
        idle: seconds without a call, after which a connection is closed.
        refusals_per_minute: of an address, after which it is blocked; see AbuseTracker.
        abuse_weight: refusals that a severe one counts as.
        guard: limits of each connection.
    """

    connections: int = _ENROL.connections
    per_address: int = _ENROL.connections_per_address
    handshakes_per_second: float = _ENROL.handshakes_per_second
    idle: float = _ENROL.idle_timeout
    refusals_per_minute: int = _GUARD.refusals_per_minute
    abuse_weight: int = _GUARD.abuse_weight
    guard: ConnectionLimits = field(default_factory=ConnectionLimits)


class EnrolmentConnections:
    """Accepts or refuses connections for proto.link.accept. refused: called with the reason of each refusal."""

    def __init__(self, limits: EnrolmentPortLimits, refused: Callable[[str], None]) -> None:
        self._limits = limits
        self._refused = refused
        self._places = ConnectionSlots(limits.connections, limits.per_address)
        self._abuse = AbuseTracker(limits.refusals_per_minute, limits.abuse_weight)
        self._bucket: TokenBucket | None = None
        self._rates = rates(limits.guard) | {"frames": (float(limits.guard.frames_per_second),) * 2}

    async def room(self) -> None:
        """Return when another connection may be accepted; the others wait in the kernel's queue."""
        now = trio.current_time()
        if self._bucket is None:
            self._bucket = TokenBucket(
                self._limits.handshakes_per_second, max(1, int(self._limits.handshakes_per_second)), now
            )
        if (wait := self._bucket.wait(now)) > 0:
            await trio.sleep(wait)

    def enter(self, sock: socket.socket, address: str) -> ConnectionSlot | None:
        """Return the connection's slot, or None if it must be closed."""
        if self._abuse.is_blocked(address, trio.current_time()):
            self._refuse("address_shut_out", address, self._abuse.is_first_block(address))
            return None

        def close() -> None:
            with suppress(OSError):  # the peer has already closed it
                sock.shutdown(socket.SHUT_RDWR)

        place = ConnectionSlot(address, close)
        try:
            if (reason := self._places.enter(place)) is not None:
                self._refuse(reason, address, True)
        except NoFreeSlot as error:
            self._refuse(str(error), address, True)
            return None
        return place

    def failed(self, place: ConnectionSlot) -> None:
        """Note that its TLS handshake failed."""
        self._places.leave(place)
        self._abuse.record(place.address, trio.current_time())

    def left(self, place: ConnectionSlot) -> None:
        """Note that the connection is closed."""
        self._places.leave(place)

    def protocol(self, inner: Any, place: ConnectionSlot) -> asyncio.Protocol:
        """Wrap grpclib's protocol object for this connection."""
        return GuardedProtocol(inner, self._limits, self._rates, self, place)

    def works(self, place: ConnectionSlot, busy: bool) -> None:
        """Note whether a call is running. An idle connection may be closed for a new one."""
        (self._places.works if busy else self._places.waits)(place)

    def cut_off(self, place: ConnectionSlot, reason: str) -> None:
        """Count a connection that exceeded a limit or broke the protocol."""
        word = refusal_label(f"guard: {reason}") or "protocol_error"
        self._abuse.record(place.address, trio.current_time(), is_severe(word))
        self._refuse(word, place.address, True, reason)

    def _refuse(self, word: str, address: str, say: bool, detail: str | None = None) -> None:
        self._refused(word)
        if say:
            log.warning(
                "connection_refused",
                port="enrol",
                reason=word,
                peer=address,
                **({} if detail is None else {"detail": detail}),
            )


class GuardedProtocol(asyncio.Protocol):
    """Splits the peer's bytes into frames, and gives grpclib those that the guard admits."""

    def __init__(
        self,
        inner: Any,
        limits: EnrolmentPortLimits,
        table: dict[str, tuple[float, float]],
        owner: EnrolmentConnections,
        place: ConnectionSlot,
    ) -> None:
        self._inner = inner
        self._limits = limits
        self._owner = owner
        self._place = place
        self._guard = Guard(limits.guard, table)
        self._frames = Buckets(table)
        self._buffer = bytearray()
        self._preface_seen = self._ended = False
        self._number = 0
        self._last_call = trio.current_time()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._inner.connection_made(_ObservedTransport(transport, self._sent))
        self._guard.http2 = h2_of(self._inner)
        self._schedule_check()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._buffer += data
        try:
            self._read()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._update_activity()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()  # type: ignore[no-any-return]

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._owner.left(self._place)
        self._inner.connection_lost(error)

    def _read(self) -> None:
        """Handle whole frames in the buffer.

        Raises:
            Refusal: the peer broke the protocol or exceeded a limit.
        """
        buffer = self._buffer
        now = trio.current_time()
        if not self._preface_seen:
            if not PREFACE.startswith(bytes(buffer[: len(PREFACE)])):
                raise Refusal(PROTOCOL_ERROR, "no HTTP/2 preface")
            if len(buffer) < len(PREFACE):
                return
            self._preface_seen = True
            self._feed(len(PREFACE))
        while len(buffer) >= HEADER and not self._ended:
            length = int.from_bytes(buffer[:3], "big")
            if length > self._limits.guard.max_frame:
                raise Refusal(FRAME_SIZE_ERROR, f"frame of {length} bytes, the limit is {self._limits.guard.max_frame}")
            stop = HEADER + length
            if len(buffer) < stop:
                break
            if not self._frames.take("frames", now):
                raise Refusal(ENHANCE_YOUR_CALM, "flood of frames")
            self._number += 1
            stream = int.from_bytes(buffer[5:9], "big") & 0x7FFFFFFF
            if self._guard.admit(buffer[3], buffer[4], stream, bytes(buffer[:stop]), HEADER, stop, 0, now):
                self._feed(stop)
            else:
                del buffer[:stop]
        self._guard.track_unfinished(self._number, len(buffer) > 0, now)

    def _feed(self, size: int) -> None:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._inner.data_received(data)

    def _sent(self, data: bytes) -> None:
        """Check what grpclib writes."""
        try:
            self._guard.sent(data, trio.current_time())
        except Refusal as refusal:
            self._refuse(refusal)

    def _update_activity(self) -> None:
        busy = not self._ended and self._guard.http2.open_inbound_streams > 0
        if busy:
            self._last_call = trio.current_time()
        if not self._ended:
            self._owner.works(self._place, busy)

    def _schedule_check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check_overdue)

    def _check_overdue(self) -> None:
        """Close the connection if a frame, a header block or the next call takes too long."""
        now = trio.current_time()
        try:
            self._guard.overdue(now)
            self._update_activity()
            if now - self._last_call > self._limits.idle:
                self._end(0)
        except Refusal as refusal:
            self._refuse(refusal)
        if not self._ended:
            self._schedule_check()

    def _refuse(self, refusal: Refusal) -> None:
        if not self._ended:
            self._owner.cut_off(self._place, refusal.reason)
            self._end(refusal.code)

    def _end(self, code: int) -> None:
        """Send a GOAWAY, and nothing more."""
        self._ended = True
        self._transport.write(goaway(self._guard.http2.highest_inbound_stream_id, code))
        self._transport.close()
        asyncio.get_running_loop().call_later(
            CHECK_INTERVAL, self._transport.abort
        )  # a peer that does not read holds nothing open


class _ObservedTransport:
    """A transport that reports each write."""

    def __init__(self, transport: Any, sent: Callable[[bytes], None]) -> None:
        self._transport = transport
        self._sent = sent

    def write(self, data: bytes) -> None:
        self._sent(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
