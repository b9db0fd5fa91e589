"""The attached stream of a connection: its DATA becomes rows, messages become DATA, within the windows of both sides.

This file runs as it is, and is compiled a second time as `_speedups.http2.stream_c` with the types of stream_c.pxd.

h2's own integers are the single source of truth about windows (RFC 9113 section 5.2). Outbound, they are read and
decremented here. Inbound, h2 never sees this DATA: what the peer may still send is h2's window less the *debt*, which
is what was consumed here and not yet returned. Once it is returned, h2's view is exact again.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from _speedups.http2.frames import END_STREAM, PADDED
from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, ConnectionLimits
from _speedups.pick import same_twin

if TYPE_CHECKING:
    from _speedups.http2 import socket_py as sockets
    from _speedups.messages import decode_py as wire
else:
    wire = same_twin(__name__, "_speedups.messages.decode")

PREFIX = 5
FULL = "write queue full"
CACHED_SIZES = 4_096
"""Sizes of DATA up to which the bytes before a single message on stream 1, which agents use, are built only once."""

_decode = wire.decode
_frame_header = Struct(">HBBBI").pack
_prefix = Struct(">BI").pack
_update = Struct(">HBBBII").pack
_frame_heads: dict[int, bytes] = {}


class AttachedStream:
    """The attached stream of one connection.

    Attributes:
        stream: its id.
        tag: first field of its rows.
        debt: bytes consumed and not yet returned to the connection's window.
        window_left: bytes that may arrive before the windows must be read again; 0 after h2 has read anything.
        messages: number of messages received.
        waiting: messages that the peer's windows hold back; None if there are none.
        expects_hello: the first message has a row even if it has no member.
        largest: size limit of the next message.
    """

    __slots__ = (
        "_broken",
        "_buffered",
        "_debt_stream",
        "_grant_at",
        "_guard",
        "_h2",
        "_h2_stream",
        "_limits",
        "_needed",
        "_partial",
        "_refilled_at",
        "_rows",
        "_stream_window",
        "_tokens",
        "_window",
        "debt",
        "expects_hello",
        "largest",
        "messages",
        "stream",
        "tag",
        "waiting",
        "window_left",
    )

    def __init__(
        self,
        stream: int,
        tag: Any,
        h2: Any,
        h2_stream: Any,
        buffered: sockets.BufferedSocket,
        guard: Guard,
        limits: ConnectionLimits,
        rows: list[tuple[Any, ...]],
    ) -> None:
        self.stream = stream
        self.tag = tag
        self.debt = 0
        self.window_left = 0
        self.messages = 0
        self.waiting: bytearray | None = None
        self._h2 = h2
        self._h2_stream = h2_stream
        self._buffered = buffered
        self._guard = guard
        self._limits = limits
        self.largest = limits.max_message
        self.expects_hello = False
        self._rows = rows
        self._debt_stream = 0
        self._grant_at = 0
        self._needed = 0
        self._partial: bytearray | None = None
        self._broken = False
        self._window = self._stream_window = 0
        self._tokens = float(limits.messages_per_second)
        self._refilled_at = -1.0

    def bind_h2(self, h2: Any, h2_stream: Any) -> None:
        """Use these objects for the windows from now on, with the windows as they are."""
        self._h2, self._h2_stream = h2, h2_stream
        self.window_left = 0

    # --- receiving ---

    def frame(self, data: bytes, flags: int, start: int, stop: int, now: float) -> bool:
        """Handle one DATA frame with the payload data[start:stop].

        Returns:
            True if it was the peer's last.

        Raises:
            Refusal: the peer broke the protocol or exceeded a limit.
        """
        length = stop - start
        if length > self.window_left:
            self._read_windows()
            if length > self.window_left:
                raise Refusal(FLOW_CONTROL_ERROR, "flow control: the window was exceeded")
        self.window_left -= length
        self.debt += length
        self._debt_stream += length
        if flags & PADDED:
            if length == 0 or data[start] >= length:
                raise Refusal(PROTOCOL_ERROR, "padding longer than its frame")
            stop -= data[start]
            start += 1
        if start < stop:
            self.consume(data, start, stop, now)
        elif not flags & END_STREAM:
            self._guard.empty(now)
        if self._debt_stream >= self._grant_at:
            self.grant()
        return flags & END_STREAM != 0

    def consume(self, data: bytes, start: int, stop: int, now: float) -> None:
        """Handle bytes of gRPC messages (gRPC over HTTP/2, "Length-Prefixed-Message"), cut anywhere.

        Raises:
            Refusal: the peer sent too many messages.
        """
        if self._broken:
            return
        if now != self._refilled_at:
            self._refill(now)
        if self._partial is not None:
            self._partial += data[start:stop]
            if len(self._partial) < self._needed:
                return
            data = bytes(self._partial)
            start, stop = 0, len(data)
            self._partial = None
        while stop - start >= PREFIX:
            size = data[start + 1] << 16 | data[start + 2] << 8 | data[start + 3]
            size = size << 8 | data[start + 4]  # in two steps: a C int has 31 bits
            if data[start] != 0:
                self._mark_malformed("compressed message, and no compression was agreed on")
                return
            if size > self.largest:
                self._mark_malformed(f"message too large: {size} bytes, the limit is {self.largest}")
                return
            if size > stop - start - PREFIX:
                self._needed = PREFIX + size
                self._partial = bytearray(data[start:stop])
                return
            if self.messages == 0:
                self.largest = self._limits.max_message
            self.messages += 1
            self._tokens -= 1.0
            if self._tokens < 0.0:
                raise Refusal(ENHANCE_YOUR_CALM, "flood of messages")
            start += PREFIX
            try:
                row = _decode(self.tag, data, start, start + size)
            except ValueError as error:
                self._mark_malformed(f"malformed message: {error}")
                return
            if row is not None:
                self._rows.append(row)
            elif self.expects_hello and self.messages == 1:
                self._rows.append((self.tag, 3, data[start : start + size]))  # read as a Hello, and refused as none
            start += size
        if start < stop:
            self._needed = PREFIX
            self._partial = bytearray(data[start:stop])

    def partial_bytes(self) -> int:
        """Bytes of a message that has begun."""
        return 0 if self._partial is None else len(self._partial)

    def grant(self) -> None:
        """Return to the peer's windows what was consumed."""
        if self.debt > 0:
            self._buffered.write(_update(0, 4, 8, 0, 0, self.debt))
            self.debt = 0
        if self._debt_stream > 0:
            if not self._h2_stream.closed and self._h2_stream.state_machine.state.name != "HALF_CLOSED_REMOTE":
                self._buffered.write(_update(0, 4, 8, 0, self.stream, self._debt_stream))
            self._debt_stream = 0
        self.window_left = 0

    def _read_windows(self) -> None:
        connection: int = self._h2.inbound_flow_control_window
        stream: int = self._h2_stream.inbound_flow_control_window
        self._grant_at = max(1, min(connection, stream) // 2)
        self.window_left = max(0, min(connection - self.debt, stream - self._debt_stream))

    def _refill(self, now: float) -> None:
        full = float(self._limits.messages_per_second)
        self._tokens = (
            full if self._refilled_at < 0.0 else min(full, self._tokens + max(0.0, now - self._refilled_at) * full)
        )
        self._refilled_at = now

    def _mark_malformed(self, reason: str) -> None:
        self._broken = True
        self._partial = None
        self._rows.append((self.tag, 0, reason))

    # --- sending ---

    def send(self, messages: list[bytes]) -> None:
        """Send whole CommandMessages, in as few DATA frames as possible and one write."""
        if len(messages) == 1 and self.stream == 1 and self.waiting is None:
            message = messages[0]
            total = PREFIX + len(message)
            if total <= CACHED_SIZES and total <= self._allowed():
                self._spend(total)
                head = _frame_heads.get(total)
                if head is None:
                    head = _frame_heads[total] = _frame_header(total >> 8, total & 0xFF, 0, 0, 1) + _prefix(
                        0, len(message)
                    )
                self._buffered.write(head + message)
                return
        parts = [b""]
        total = 0
        for message in messages:
            parts.append(_prefix(0, len(message)))
            parts.append(message)
            total += PREFIX + len(message)
        if self.waiting is None and 0 < total <= self._allowed():
            self._spend(total)
            parts[0] = _frame_header(total >> 8, total & 0xFF, 0, 0, self.stream)
            self._buffered.write(b"".join(parts))
        elif total > 0:
            if self.waiting is None:
                self.waiting = bytearray()
            self.waiting += b"".join(parts)
            self.send_waiting()

    def send_waiting(self) -> None:
        """Send what waits, as far as the peer's windows allow."""
        waiting = self.waiting
        if waiting is None:
            return
        frames = []
        done = 0
        while done < len(waiting):
            size = min(self._allowed(), len(waiting) - done)
            if size <= 0:
                break
            self._spend(size)
            frames.append(_frame_header(size >> 8, size & 0xFF, 0, 0, self.stream))
            frames.append(bytes(waiting[done : done + size]))
            done += size
        if frames:
            del waiting[:done]
            self._buffered.write(b"".join(frames))
        if not waiting:
            self.waiting = None
        elif len(waiting) + self._buffered.queued > self._limits.write_queue_bytes and self._buffered.error is None:
            self._buffered.error = FULL

    def _allowed(self) -> int:
        """Bytes that may be sent now. If any are sent, `_spend` must follow at once."""
        self._window = self._h2.outbound_flow_control_window
        self._stream_window = self._h2_stream.outbound_flow_control_window
        largest: int = self._h2.max_outbound_frame_size
        return min(self._window, self._stream_window, largest)

    def _spend(self, size: int) -> None:
        self._h2.outbound_flow_control_window = self._window - size
        self._h2_stream.outbound_flow_control_window = self._stream_window - size
        self._guard.data_frames_sent += 1
