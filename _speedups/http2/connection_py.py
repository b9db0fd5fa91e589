"""A connection of the lane: HTTP/2 frames in, rows out; messages in, HTTP/2 frames out.

This file is run as it is, and compiled a second time as `_speedups.http2.connection_c` with the types of
connection_c.pxd; import from
`_speedups.http2`, which picks. grpclib's unmodified H2Protocol gets every whole frame (RFC 9113 section 4.1) but the
DATA of the
one stream that is *attached*; that is consumed here, with flow control in both directions.

Rows are (tag, kind, ...). kind is the number of CommandMessage's member:
    2   command_id, attempt, outcome, exit_code or None, signal, error_code, error_message, started_at_ms,
    finished_at_ms,
        duration_us, stdout, stderr, usage, kill, pipe_held, leftovers_killed, left_running, observed; stdout and stderr
        are (head, tail,
        total_bytes, sha256) or None, usage (user_us, system_us, max_rss_kb) or None, kill (reason, term_at_ms,
        kill_at_ms, tree_empty) or None
    5   command_id, attempt
    7   command_id, attempt, pid, started_at_ms
    8   command_id, attempt, stream, offset, data, order, at_ms
    12  beat, answer, running
    n   the whole message, for any other member, known or not; a message without any member gives no row
    0   reason: what the peer of this session sent is malformed; nothing more of it is read until it is detached
    -1  reason: the session has left the lane: "ended", "reset", or the connection is gone
Only attached connections have rows. `Conn.on_gone(reason)` is called for each connection, attached or not, when it is
gone.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

from _speedups.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADER,
    HEADERS,
    PREFACE,
    RST_STREAM,
    end_stream,
    goaway,
)
from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import (
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    FULL_FRAME_DISCOUNT,
    PROTOCOL_ERROR,
    ConnectionLimits,
)
from _speedups.pick import same_twin

if TYPE_CHECKING:
    from _speedups.http2 import socket_py as sockets
    from _speedups.http2 import stream_py as stream_module
    from _speedups.http2.poller_py import Poller
else:
    sockets = same_twin(__name__, "_speedups.http2.socket")
    stream_module = same_twin(__name__, "_speedups.http2.stream")

GRPCLIB_BATCH = 8
"""Frames given to grpclib at once; between batches the slice's time is looked at, since h2 takes 50 to 300 µs for
one."""
FRAMES_PER_CLOCK_CHECK = 64
"""Frames of the lane's own between two looks at the clock."""


class Conn:
    """sock: non-blocking, after the TLS handshake if it has one. protocol: grpclib's, with connection_made still to be
    called.
    http2: what stands for h2's connection object until `become`; without it the protocol's own is looked up.

    tag: of the attached session, else 0. counted: bytes that the hub knows to be held for it. last_read: `now` of the
    poll that read the last byte. closed: the socket is.
    on_gone: set by the owner, called once by `poll` with the reason.
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
        """Whole frames, as grpclib writes them: sent now if possible, else queued in order behind what is queued."""
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
        """From now on the DATA of this stream is the lane's, and its rows have this tag: any object but 0.

        first: bytes that the first message may have, if not as many as the others; it has a row then also when it has
        no member.
        leftover: bytes of messages that grpclib's stream had buffered, acknowledged to h2 by whoever took them. Raises
        ValueError
        for a second stream, ConnectionResetError if the stream or the connection is gone.
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
        """Back to grpclib, for trailers or a reset. What the peer's windows have not let through is dropped."""
        attached = self._attached
        if attached is not None:
            self._attached = None
            self._stream_id = self.tag = 0
            self._messages += attached.messages
            if not self.closed and not self._closing:
                attached.grant()
                self._after_write()

    def send(self, messages: list[bytes]) -> None:
        """Whole CommandMessages, in as few DATA frames and sends as possible; what the peer's windows do not allow
        waits.

        Does nothing once the session has left the lane: its row says so, or is about to.
        """
        if self._attached is not None and not self.closed and not self._closing:
            self._attached.send(messages)
            self._after_write()

    def close(self) -> None:
        """Once everything that was written has left, at most `linger` seconds later. Nothing is read any more."""
        if self.closed or self._closing:
            return
        if self._h2 is not None and (last := self._h2.data_to_send()):
            self.buffered.write(last)  # grpclib does not send h2's GOAWAY when it closes on an error
        self._reason = self._reason or ("goaway" if self._goaway_seen else "closed")
        self._closing = True
        self.buffered.stop_reading()
        self._after_write()

    def abort(self, reason: str = "aborted") -> None:
        """At once, whatever is queued. reason: for `on_gone`, unless it was closing already."""
        self._end(self._reason if self._closing else reason)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the socket or for the peer's windows."""
        attached = self._attached
        return self.buffered.queued + (
            len(attached.waiting) if attached is not None and attached.waiting is not None else 0
        )

    def pre_session_bytes(self) -> int:
        """Bytes kept of what has come and is no session's."""
        attached = self._attached
        if attached is not None and (attached.messages or not attached.expects_hello):
            return self._guard.held_bytes() if self._guard.held else 0
        return len(self._held) + self._guard.held_bytes() + (0 if attached is None else attached.partial_bytes())

    def serve(self, now: float, deadline: float, max_bytes: int) -> bool:
        """Read and write what can be. True if there is more that epoll will not announce."""
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
        """Tell everybody who has to know that it is gone."""
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
        """Every whole frame in what is held and data. True if the slice's time was up before that."""
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
            position = self._read_frames(data, position, end, deadline)
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

    def _read_frames(self, data: bytes, position: int, end: int, deadline: float) -> int:
        """Where the first frame begins that is not whole; -1 minus that if the slice's time was up."""
        run = position  # where what grpclib is to get begins
        batch = work = 0
        guard = self._guard
        while end - position >= HEADER:
            length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            if length > self._max_frame:
                self._pass_to_grpclib(data[run:position])
                raise Refusal(FRAME_SIZE_ERROR, f"frame of {length} bytes, the limit is {self._max_frame}")
            stop = position + HEADER + length
            if stop > end:
                break
            kind = data[position + 3]
            flags = data[position + 4]
            stream = (
                (data[position + 5] & 0x7F) << 24
                | data[position + 6] << 16
                | data[position + 7] << 8
                | data[position + 8]
            )
            if run < position and (
                batch >= GRPCLIB_BATCH or kind == DATA or (kind == HEADERS and guard.opened >= self._limits.streams)
            ):
                # Before: limits of streams and windows are h2's to tell, and a frame may detach the stream.
                self._pass_to_grpclib(data[run:position])
                run, batch = position, 0
                if self.closed or self._closing:
                    return position
                if monotonic() >= deadline:
                    return -position - 1
            self._frames += 1
            attached = self._attached
            self._frames_left -= (
                1.0 - FULL_FRAME_DISCOUNT * length / self._max_frame
                if kind == DATA and attached is not None and stream == self._stream_id
                else 1.0
            )
            if self._frames_left < 0.0:
                raise Refusal(ENHANCE_YOUR_CALM, "flood of frames")
            if kind == DATA and attached is not None and stream == self._stream_id and guard.block == 0:
                run = stop
                work += 1
                if attached.frame(data, flags, position + HEADER, stop, self._now):
                    self._end_session("ended")
                    # h2 has not seen the flag, and grpclib learns of the end from h2.
                    self._pass_to_grpclib(end_stream(stream))
                    if self.closed or self._closing:
                        return stop
                if work >= FRAMES_PER_CLOCK_CHECK:
                    work = 0
                    if monotonic() >= deadline and end - stop >= HEADER:
                        return -stop - 1
            elif guard.admit(
                kind, flags, stream, data, position + HEADER, stop, 0 if attached is None else attached.debt, self._now
            ):
                batch = (
                    GRPCLIB_BATCH if kind == GOAWAY else batch + 1
                )  # h2 takes nothing after a GOAWAY, and then forgets what came before
                self._goaway_seen = self._goaway_seen or kind == GOAWAY
                if stream == self._stream_id and attached is not None and self._ends_stream(kind, flags):
                    self._pass_to_grpclib(data[run:stop])
                    self._end_session("reset" if kind == RST_STREAM else "ended")
                    run, batch = stop, 0
            else:
                self._pass_to_grpclib(data[run:position])
                run, batch = stop, 0
            position = stop
        self._pass_to_grpclib(data[run:position])
        return position

    def _ends_stream(self, kind: int, flags: int) -> bool:
        """Whether this frame of the attached stream, which is not DATA, is the peer's last."""
        if kind == HEADERS:
            self._trailers_end_stream = flags & END_STREAM
        return kind == RST_STREAM or (
            kind in (HEADERS, CONTINUATION) and self._trailers_end_stream != 0 and flags & END_HEADERS != 0
        )

    def _pass_to_grpclib(self, frames: bytes) -> None:
        if not frames or self.closed or self._closing:
            return
        self._reason = "protocol error"  # should grpclib close: it does so on errors and on GOAWAY only
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
        """The session is over, the connection is not."""
        if self._attached is not None:
            self._rows.append((self.tag, -1, reason))
            self.detach()

    def refuse(self, code: int, reason: str) -> None:
        """GOAWAY, and the end; for the hub too."""
        if self.closed or self._closing:
            return
        last = 0 if self._h2 is None else self._h2.highest_inbound_stream_id
        self.buffered.write(goaway(last, code, reason.encode()))
        self.buffered.flush()
        self._end(f"guard: {reason}", True)

    def _after_write(self) -> None:
        """After writing: has the socket failed, or is a closing connection done? While it is corked nothing is known
        yet."""
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
        """From now on this is h2's connection object, with the windows as they are."""
        self._h2 = self._guard.http2 = http2
        http2.decoder.max_header_list_size = self._limits.header_list
        if self._attached is not None:
            self._attached.bind_h2(http2, http2.streams[self._stream_id])

    def _http2(self) -> Any:
        """h2's connection object, which grpclib makes in connection_made."""
        if self._h2 is None:
            self.bind_h2(self._protocol.connection._connection)
        return self._h2
