"""Checks every frame that is not the attached stream's DATA before grpclib sees it. Not compiled: h2 costs far more.

h2 checks the rules of RFC 9113. Here are limits, and rules that h2 or grpclib lack.
"""

from __future__ import annotations

from typing import Any

from _speedups.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from _speedups.http2.limits import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    Buckets,
    ConnectionLimits,
)

PREFIX = 5

MAX_SAVED_PROBES = 100
"""DATA frames that were sent and not yet followed by a PING, for which the peer may send a PING later."""
BUCKETS = {
    PRIORITY: "priorities",
    RST_STREAM: "resets",
    SETTINGS: "settings",
    PING: "pings",
    WINDOW_UPDATE: "window updates",
}


class Refusal(Exception):
    """The connection must end. code: for GOAWAY."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Guard:
    """The limits of one connection.

    Attributes:
        http2: h2's connection object, set before the first frame.
        block: the stream whose header block is open, so that only its continuation may follow; else 0.
        data_frames_sent: DATA frames that the attached stream has sent; it counts them here.
        held: bytes received on calls that are not attached; `held_bytes` removes those of ended calls.
        opened: streams that the peer has opened.
    """

    __slots__ = (
        "_block_bytes",
        "_block_frames",
        "_block_since",
        "_frame_number",
        "_frame_since",
        "_frames_written",
        "_highest",
        "_limits",
        "_probes_counted",
        "_started",
        "_watched",
        "block",
        "buckets",
        "data_frames_sent",
        "held",
        "http2",
        "opened",
    )

    def __init__(self, limits: ConnectionLimits, table: dict[str, tuple[float, float]]) -> None:
        self._limits = limits
        self.buckets = Buckets(table)
        self.http2: Any = None
        self.opened = self.held = self.data_frames_sent = self._frames_written = self._probes_counted = 0
        self._started = False
        self._highest = 0
        self.block = self._block_frames = self._block_bytes = 0
        self._block_since = self._frame_since = 0.0
        self._frame_number = -1
        self._watched: dict[int, tuple[bytes, int, int] | None] = {}

    def admit(
        self, kind: int, flags: int, stream: int, data: bytes, start: int, stop: int, debt: int, now: float
    ) -> bool:
        """True if grpclib may see this frame, whose payload is data[start:stop]; False drops it.

        Args:
            debt: bytes that the attached stream has consumed and not yet returned to the connection's window.

        Raises:
            Refusal: the peer broke the protocol or exceeded a limit.
        """
        if not self._started:
            if kind != SETTINGS:
                raise Refusal(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._started = True
        if self.block:
            self._continuation(kind, flags, stream, stop - start)
            return True
        if kind > CONTINUATION:
            return False
        name = BUCKETS.get(kind)
        if kind == SETTINGS and flags & ACK and stop > start:
            raise Refusal(
                FRAME_SIZE_ERROR, "SETTINGS with ACK and a payload"
            )  # h2 calls it a PROTOCOL_ERROR (RFC 9113 section 6.5)
        if name is not None and not self.buckets.take(name, now) and not (kind == PING and self._is_allowed_probe(now)):
            raise Refusal(ENHANCE_YOUR_CALM, f"flood of {name}")
        if kind == DATA:
            self._data(flags, stream, data, start, stop, debt, now)
        elif kind == HEADERS:
            self._headers(flags, stream, stop - start, now)
        elif kind == RST_STREAM:
            self._forget(stream)
        return True

    def _is_allowed_probe(self, now: float) -> bool:
        """True if this PING may measure the bandwidth, as gRPC libraries do.

        They send one after DATA, and wait for its answer before the next. So one is allowed for each DATA frame that
        was sent, and MAX_SAVED_PROBES at once.
        """
        sent = self.data_frames_sent + self._frames_written
        if sent <= self._probes_counted or not self.buckets.take("probes", now):
            return False
        self._probes_counted = max(self._probes_counted + 1, sent - MAX_SAVED_PROBES)
        return True

    def sent(self, data: bytes, now: float) -> None:
        """Count DATA and resets in what grpclib writes, which is whole frames.

        Raises:
            Refusal: the peer made grpclib send too many resets.
        """
        position, end = 0, len(data)
        while end - position >= HEADER:
            self._frames_written += data[position + 3] == DATA
            if data[position + 3] == RST_STREAM and not self.buckets.take("resets sent", now):
                raise Refusal(ENHANCE_YOUR_CALM, "flood of resets sent")
            position += HEADER + int.from_bytes(data[position : position + 3], "big")

    def unwatch(self, stream: int) -> None:
        """Stop following messages of this stream: it is attached, or its messages are not read."""
        self._forget(stream)
        self._watched[stream] = None

    def held_bytes(self) -> int:
        """Bytes that are kept of calls that have not ended, and of a header block."""
        if self.held:
            for number in [
                number
                for number in self._watched
                if number not in self.http2.streams or self.http2.streams[number].closed
            ]:
                self._forget(number)
        return self.held + (self._block_bytes if self.block else 0)

    def empty(self, now: float) -> None:
        """Count a DATA frame without payload.

        Raises:
            Refusal: there were too many.
        """
        if not self.buckets.take("empty data", now):
            raise Refusal(ENHANCE_YOUR_CALM, "flood of empty data")

    def track_unfinished(self, frames: int, within: bool, now: float) -> bool:
        """Note the start of an unfinished frame. Return True if a frame (`within`) or a header block is unfinished.

        frames: whole frames so far.
        """
        if not within:
            self._frame_number = -1
        elif frames != self._frame_number:
            self._frame_number, self._frame_since = frames, now
        return within or self.block != 0

    def overdue(self, now: float) -> None:
        """Check that nothing unfinished takes too long.

        Raises:
            Refusal: it does.
        """
        if self.block and now - self._block_since > self._limits.header_timeout:
            raise Refusal(ENHANCE_YOUR_CALM, f"header block not ended within {self._limits.header_timeout:g} s")
        if self._frame_number >= 0 and now - self._frame_since > self._limits.frame_timeout:
            raise Refusal(ENHANCE_YOUR_CALM, f"frame not ended within {self._limits.frame_timeout:g} s")

    def _headers(self, flags: int, stream: int, size: int, now: float) -> None:
        if stream > self._highest:
            self._highest = stream
            self.opened += 1
            if not self.buckets.take("streams", now):
                raise Refusal(ENHANCE_YOUR_CALM, "flood of streams")
            if self.opened > self._limits.streams and self.http2.open_inbound_streams >= self._limits.streams:
                raise Refusal(PROTOCOL_ERROR, f"more than {self._limits.streams} streams at once")
        if size > self._limits.header_block:
            raise Refusal(ENHANCE_YOUR_CALM, "header block too large")
        if flags & END_STREAM:
            self._forget(stream)
        if not flags & END_HEADERS:
            self.block, self._block_frames, self._block_bytes, self._block_since = stream, 0, size, now

    def _continuation(self, kind: int, flags: int, stream: int, size: int) -> None:
        if kind != CONTINUATION or stream != self.block:
            raise Refusal(PROTOCOL_ERROR, "header block interrupted")
        self._block_frames += 1
        self._block_bytes += size
        if self._block_frames > self._limits.continuations:
            raise Refusal(ENHANCE_YOUR_CALM, "flood of continuations")
        if self._block_bytes > self._limits.header_block:
            raise Refusal(ENHANCE_YOUR_CALM, "header block too large")
        if flags & END_HEADERS:
            self.block = 0

    def _data(self, flags: int, stream: int, data: bytes, start: int, stop: int, debt: int, now: float) -> None:
        if debt and stop - start > self.http2.inbound_flow_control_window - debt:
            raise Refusal(FLOW_CONTROL_ERROR, "flow control: the connection's window was exceeded")
        if flags & PADDED and start < stop:
            stop -= min(data[start], stop - start - 1)
            start += 1
        if start >= stop and not flags & END_STREAM:
            self.empty(now)
        if flags & END_STREAM:
            self._forget(stream)
        elif start < stop:
            self._watch(stream, data, start, stop, now)

    def _watch(self, stream: int, data: bytes, start: int, stop: int, now: float) -> None:
        """Follow the lengths of gRPC messages that grpclib reads, because it buffers whatever length is declared."""
        state = self._watched.get(stream, (b"", 0, 0))
        if state is None:
            return
        if not self.buckets.take("bytes before hello", now, stop - start):
            raise Refusal(ENHANCE_YOUR_CALM, "flood of bytes before hello")
        prefix, left, held = state
        size = stop - start
        largest = min(self._limits.hello_bytes, self._limits.max_message)
        while start < stop:
            if left:
                step = min(left, stop - start)
                left -= step
            else:
                step = min(PREFIX - len(prefix), stop - start)
                prefix += data[start : start + step]
                if len(prefix) == PREFIX:
                    left, prefix = int.from_bytes(prefix[1:], "big"), b""
                    if left > largest:
                        raise Refusal(ENHANCE_YOUR_CALM, f"message of {left} bytes, the limit is {largest}")
            start += step
        if len(self._watched) > 2 * self._limits.streams:
            for number in [number for number in self._watched if number not in self.http2.streams]:
                self._forget(number)
        self._watched[stream] = (prefix, left, held + size)
        self.held += size

    def _forget(self, stream: int) -> None:
        state = self._watched.pop(stream, None)
        if state is not None:
            self.held -= state[2]
