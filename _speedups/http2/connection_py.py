"""A connection of the fast path: HTTP/2 frames in, rows out; messages in, HTTP/2 frames out.

This file runs as it is, and is compiled a second time as `_speedups.http2.connection_c` with the types of
connection_c.pxd; import from `_speedups.http2`, which picks. The protocol object (grpclib's, or its stand-in) gets
every whole frame (RFC 9113 section 4.1) except the DATA of the one stream that is *attached*. That DATA is consumed
here, with flow control in both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

from _speedups.http2.frames import (
    PREFACE,
    goaway,
)
from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import (
    PROTOCOL_ERROR,
    ConnectionLimits,
)
from _speedups.pick import same_twin

if TYPE_CHECKING:
    from _speedups.http2 import frame_reader_py as frame_reader
    from _speedups.http2 import socket_py as sockets
    from _speedups.http2 import stream_py as stream_module
    from _speedups.http2.poller_py import Poller
else:
    sockets = same_twin(__name__, "_speedups.http2.socket")
    stream_module = same_twin(__name__, "_speedups.http2.stream")
    frame_reader = same_twin(__name__, "_speedups.http2.frame_reader")

read_frames = frame_reader.read_frames


class Conn:
    """One connection.

    Args:
        sock: non-blocking, after the TLS handshake if it has one.
        protocol: has data_received and connection_lost, and `h2`: h2's connection object, if `http2` is not given.
        poller: serves this connection.
        http2: what stands for h2's connection object until `bind_h2`.

    Attributes:
        tag: of the attached session, else 0.
        recorded_bytes: bytes that the poller has recorded as held for it.
        last_read: `now` of the poll that read the last byte.
        closed: the socket is closed.
        waiting: it is in the poller's queue.
        on_closed: set by the owner; `poll` calls it once with the reason, attached or not.
    """

    __slots__ = (
        "_attached",
        "_bytes_in",
        "_closing",
        "_frames",
        "_frames_full",
        "_frames_left",
        "_goaway_seen",
        "_guard",
        "_h2",
        "_held",
        "_limits",
        "_max_frame",
        "_messages",
        "_now",
        "_preface",
        "_protocol",
        "_reason",
        "_rows",
        "_stream_id",
        "_trailers_end_stream",
        "_unfinished",
        "buffered",
        "closed",
        "fd",
        "last_read",
        "on_closed",
        "poller",
        "recorded_bytes",
        "tag",
        "waiting",
    )

    def __init__(self, sock: socket, protocol: Any, *, poller: Poller, http2: Any = None) -> None:
        self.poller = poller
        self.buffered = sockets.BufferedSocket(sock, poller.epoll, poller.limits.write_queue_bytes)
        self.fd = self.buffered.fd
        self.tag = self.recorded_bytes = 0
        self.closed = self.waiting = self._unfinished = False
        self.last_read = self._now = 0.0
        self.on_closed: Callable[[str], object] | None = None
        self._protocol = protocol
        self._limits: ConnectionLimits = poller.limits
        self._max_frame = poller.limits.max_frame
        self._guard = Guard(poller.limits, poller.rates)
        self._rows = poller.rows
        self._h2 = self._guard.http2 = http2
        self._attached: stream_module.AttachedStream | None = None
        self._reason, self._held = "", b""
        self._preface = True
        self._closing = self._goaway_seen = False
        self._frames_full = self._frames_left = float(poller.limits.frames_per_second)
        self._stream_id = self._trailers_end_stream = self._frames = self._messages = self._bytes_in = 0

    def write(self, data: bytes) -> None:
        """Send whole frames, as grpclib writes them; what the socket does not take is queued in order."""
        if self.closed or self._closing:
            return
        try:
            self._guard.sent(data, self.poller.now)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason)
            return
        self.buffered.write(data)
        self._after_write()

    def attach(self, stream_id: int, tag: Any, leftover: bytes = b"", first: int = 0) -> None:
        """Consume the DATA of this stream from now on, and give its rows this tag.

        Args:
            stream_id: an open stream.
            tag: any object but 0.
            leftover: bytes of messages that grpclib's stream had buffered, already acknowledged to h2.
            first: size limit of the first message, if it has its own. It then has a row even if it has no member.

        Raises:
            ValueError: a stream is attached already.
            ConnectionResetError: the stream or the connection is closed.
        """
        if self._stream_id or tag == 0 or stream_id <= 0:
            raise ValueError("one stream at a time, with a tag that is not 0")
        stream = None if self.closed or self._closing else self._http2().streams.get(stream_id)
        if stream is None or stream.closed:
            raise ConnectionResetError(f"stream {stream_id} is gone")
        self._attached = stream_module.AttachedStream(
            stream_id, tag, self._h2, stream, self.buffered, self._guard, self._limits, self._rows
        )
        self._attached.expects_hello, self._attached.largest = first > 0, first or self._limits.max_message
        self._stream_id, self.tag, self._trailers_end_stream = stream_id, tag, 0
        self._guard.unwatch(stream_id)
        try:
            self._attached.consume(leftover, 0, len(leftover), self.poller.now)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason)
            return
        if stream.state_machine.state.name == "HALF_CLOSED_REMOTE":
            self._end_session("ended")
        if leftover and self._rows:
            self.poller.wake()
        self.poller.update_memory(self)

    def detach(self) -> None:
        """Give the stream back to grpclib, for trailers or a reset. Messages that wait for windows are dropped."""
        attached = self._attached
        if attached is not None:
            self._attached = None
            self._stream_id = self.tag = 0
            self._messages += attached.messages
            if not self.closed and not self._closing:
                attached.grant()
                self._after_write()

    def send(self, messages: list[bytes]) -> None:
        """Send whole CommandMessages in as few DATA frames as possible; what the peer's windows do not allow waits.

        Does nothing once the session has left the fast path: its row says so, or is about to.
        """
        if self._attached is not None and not self.closed and not self._closing:
            self._attached.send(messages)
            self._after_write()

    def close(self) -> None:
        """Close once everything that was written is sent, at most `linger` seconds later. Nothing is read any more."""
        if self.closed or self._closing:
            return
        if self._h2 is not None and (last := self._h2.data_to_send()):
            self.buffered.write(last)  # grpclib does not send h2's GOAWAY when it closes on an error
        self._reason = self._reason or ("goaway" if self._goaway_seen else "closed")
        self._closing = True
        self.buffered.stop_reading()
        self._after_write()

    def abort(self, reason: str = "aborted") -> None:
        """Close at once, whatever is queued. reason: for `on_closed`, unless the connection was closing already."""
        self._end(self._reason if self._closing else reason)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the socket or for the peer's windows."""
        attached = self._attached
        return self.buffered.queued + (
            len(attached.waiting) if attached is not None and attached.waiting is not None else 0
        )

    def pre_session_bytes(self) -> int:
        """Received bytes that are kept and belong to no session."""
        attached = self._attached
        if attached is not None and (attached.messages or not attached.expects_hello):
            return self._guard.held_bytes() if self._guard.held else 0
        return len(self._held) + self._guard.held_bytes() + (0 if attached is None else attached.partial_bytes())

    def serve(self, now: float, deadline: float, max_bytes: int) -> bool:
        """Read and write what is possible. True if there is more that epoll will not announce."""
        buffered = self.buffered
        more = False
        if now > self._now:
            full = self._frames_full
            self._frames_left = min(full, self._frames_left + (now - self._now) * full)
            self._now = now
        buffered.corked = True
        if not self._closing:
            more = self._read(deadline, max_bytes)
        buffered.corked = False
        if not self.closed:
            buffered.flush()
            self._after_write()
        return more and not self._closing

    def finalize(self) -> None:
        """Notify the protocol, the stream and `on_closed` that the connection is closed."""
        if self._attached is not None:
            self._rows.append((self.tag, -1, self._reason))
            self.detach()
        self._h2 = None
        self._held = b""
        try:
            self._protocol.connection_lost(None)
        except Exception as error:
            self._reason += f"; connection_lost raised {type(error).__name__}: {error}"
        on_closed, self.on_closed = self.on_closed, None
        if on_closed is not None:
            on_closed(self._reason)

    def counts(self) -> dict[str, int]:
        messages = self._messages + (self._attached.messages if self._attached is not None else 0)
        return {
            "frames": self._frames,
            "messages": messages,
            "bytes_in": self._bytes_in,
            "bytes_out": self.buffered.sent,
            "sends": self.buffered.sends,
        }

    def _read(self, deadline: float, max_bytes: int) -> bool:
        buffered = self.buffered
        total = 0
        if self._held and self._split(b"", deadline):
            return True
        while not (self.closed or self._closing):
            data = buffered.read(max_bytes - total)
            if data is None:
                return False
            if not data:
                self._end(buffered.error or "eof")
                return False
            self.last_read = self._now
            self._bytes_in += len(data)
            total += len(data)
            if self._split(data, deadline):
                return True
            if not buffered.secure:
                return False
            if total >= max_bytes or monotonic() >= deadline:
                return not buffered.epoll_reports_all()
        return False

    def _split(self, data: bytes, deadline: float) -> bool:
        """Handle every whole frame in what is held and data. True if the slice's time ended before that."""
        if self._held:
            data = self._held + data
            self._held = b""
        end = len(data)
        position = 0
        if self._preface:
            if not PREFACE.startswith(data[:24]):
                self.refuse(PROTOCOL_ERROR, "no HTTP/2 preface")
                return False
            if end < 24:
                self._held = data
                return False
            self._preface = False
            self._http2()
            self._pass_to_grpclib(data[:24])
            position = 24
        try:
            position = read_frames(self, data, position, end, deadline)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason)
            return False
        if self.closed or self._closing:
            return False
        if position < 0:
            self._held = data[-position - 1 :]
            return True
        if position < end:
            self._held = data[position:]
        if position < end or self._unfinished or self._guard.block:
            self._unfinished = self.poller.track_unfinished(
                self, self._guard, self._frames, self._held != b"", self._now
            )
        return False

    def _pass_to_grpclib(self, frames: bytes) -> None:
        if not frames or self.closed or self._closing:
            return
        self._reason = "protocol error"  # in case grpclib closes, which it does on errors and on GOAWAY only
        try:
            self._protocol.data_received(frames)
        except Exception as error:
            self._end(f"{type(error).__name__}: {error}")
        if not (self.closed or self._closing):
            self._reason = ""
        elif self._goaway_seen and self._reason == "protocol error":
            self._reason = "goaway"
        attached = self._attached
        if attached is not None:
            attached.window_left = 0
            attached.send_waiting()

    def _end_session(self, reason: str) -> None:
        """The session has ended, the connection has not."""
        if self._attached is not None:
            self._rows.append((self.tag, -1, reason))
            self.detach()

    def refuse(self, code: int, reason: str) -> None:
        """Send a GOAWAY with this code and reason, and close. The poller calls it too."""
        if self.closed or self._closing:
            return
        last = 0 if self._h2 is None else self._h2.highest_inbound_stream_id
        self.buffered.write(goaway(last, code, reason.encode()))
        self.buffered.flush()
        self._end(f"guard: {reason}", True)

    def _after_write(self) -> None:
        """Handle a failed socket or a closing connection that is done. While writes are corked nothing is known yet."""
        buffered = self.buffered
        if self.closed or buffered.corked:
            return
        if buffered.error is not None:
            self._end(self._reason if self._closing else buffered.error)
        elif self._closing:
            if buffered.queued == 0:
                self._end(self._reason, True)
            else:
                self.poller.close_when_drained(self)

    def _end(self, reason: str, gently: bool = False) -> None:
        if not self.closed:
            self.closed = True
            self._reason = reason
            self.buffered.close(gently=gently)
            self.poller.mark_closed(self)

    def bind_h2(self, http2: Any) -> None:
        """Use this h2 connection object from now on, with its windows as they are."""
        self._h2 = self._guard.http2 = http2
        http2.decoder.max_header_list_size = self._limits.header_list
        if self._attached is not None:
            self._attached.bind_h2(http2, http2.streams[self._stream_id])

    def _http2(self) -> Any:
        """h2's connection object, which grpclib makes in connection_made."""
        if self._h2 is None:
            self.bind_h2(self._protocol.h2)
        return self._h2
