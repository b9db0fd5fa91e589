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
from importlib import import_module
from socket import socket
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Any

from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, FULL_IS_LESS, PROTOCOL_ERROR, Limits

if TYPE_CHECKING:
    from _speedups.http2 import poller_py as hubs
    from _speedups.http2 import socket_py as pipes
    from _speedups.http2 import stream_py as streams
    from _speedups.messages import codec_py as wire
else:
    TWIN = __name__.rpartition("_")[2]
    hubs = import_module(f"_speedups.http2.poller_{TWIN}")
    pipes = import_module(f"_speedups.http2.socket_{TWIN}")
    streams = import_module(f"_speedups.http2.stream_{TWIN}")
    wire = import_module(f"_speedups.messages.codec_{TWIN}")

Hub = hubs.Hub
encode_dispatch, encode_ack, encode_heartbeat = wire.encode_dispatch, wire.encode_ack, wire.encode_heartbeat

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9
DATA, HEADERS, RST_STREAM, GOAWAY, CONTINUATION = 0, 1, 3, 7, 9
END_STREAM, END_HEADERS = 0x01, 0x04
BATCH = 8
"""Frames given to grpclib at once; between batches the slice's time is looked at, since h2 takes 50 to 300 µs for
one."""
PATIENCE = 64
"""Frames of the lane's own between two looks at the clock."""
_last_words = Struct(">HBBBIII").pack
_last_data = Struct(">HBBBI").pack


class Conn:
    """sock: non-blocking, after the TLS handshake if it has one. protocol: grpclib's, with connection_made still to be
    called.
    http2: what stands for h2's connection object until `become`; without it the protocol's own is looked up.

    tag: of the attached session, else 0. counted: bytes that the hub knows to be held for it. last_read: `now` of the
    poll that read the last byte. closed: the socket is.
    on_gone: set by the owner, called once by `poll` with the reason.
    """

    __slots__ = (
        "_bytes_in",
        "_closing",
        "_ending",
        "_frames",
        "_frames_full",
        "_frames_left",
        "_goaway",
        "_guard",
        "_h2",
        "_held",
        "_lane",
        "_largest",
        "_limits",
        "_messages",
        "_now",
        "_preface",
        "_protocol",
        "_reason",
        "_rows",
        "_slow",
        "_stream",
        "closed",
        "counted",
        "fd",
        "hub",
        "last_read",
        "on_gone",
        "pipe",
        "tag",
        "waiting",
    )

    def __init__(self, sock: socket, protocol: Any, *, hub: hubs.Hub, http2: Any = None) -> None:
        self.hub = hub
        self.pipe = pipes.Pipe(sock, hub.epoll, hub.limits.write_queue_bytes)
        self.fd = self.pipe.fd
        self.tag = self.counted = 0
        self.closed = self.waiting = self._slow = False
        self.last_read = self._now = 0.0
        self.on_gone: Callable[[str], object] | None = None
        self._protocol = protocol
        self._limits: Limits = hub.limits
        self._largest = hub.limits.max_frame
        self._guard = Guard(hub.limits, hub.rates)
        self._rows = hub.rows
        self._h2 = self._guard.http2 = http2
        self._lane: streams.Lane | None = None
        self._reason, self._held = "", b""
        self._preface = True
        self._closing = self._goaway = False
        self._frames_full = self._frames_left = float(hub.limits.frames_per_second)
        self._stream = self._ending = self._frames = self._messages = self._bytes_in = 0

    def write(self, data: bytes) -> None:
        """Whole frames, as grpclib writes them: sent now if possible, else queued in order behind what is queued."""
        if self.closed or self._closing:
            return
        try:
            self._guard.sent(data, self.hub.now)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason)
            return
        self.pipe.write(data)
        self._check()

    def attach(self, stream_id: int, tag: Any, leftover: bytes = b"", first: int = 0) -> None:
        """From now on the DATA of this stream is the lane's, and its rows have this tag: any object but 0.

        first: bytes that the first message may have, if not as many as the others; it has a row then also when it has
        no member.
        leftover: bytes of messages that grpclib's stream had buffered, acknowledged to h2 by whoever took them. Raises
        ValueError
        for a second stream, ConnectionResetError if the stream or the connection is gone.
        """
        if self._stream or tag == 0 or stream_id <= 0:
            raise ValueError("one stream at a time, with a tag that is not 0")
        stream = None if self.closed or self._closing else self._http2().streams.get(stream_id)
        if stream is None or stream.closed:
            raise ConnectionResetError(f"stream {stream_id} is gone")
        self._lane = streams.Lane(stream_id, tag, self._h2, stream, self.pipe, self._guard, self._limits, self._rows)
        self._lane.expects, self._lane.largest = first > 0, first or self._limits.max_message
        self._stream, self.tag, self._ending = stream_id, tag, 0
        self._guard.unwatch(stream_id)
        try:
            self._lane.consume(leftover, 0, len(leftover), self.hub.now)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason)
            return
        if stream.state_machine.state.name == "HALF_CLOSED_REMOTE":
            self._leave("ended")
        if leftover and self._rows:
            self.hub.wake()
        self.hub.count(self)

    def detach(self) -> None:
        """Back to grpclib, for trailers or a reset. What the peer's windows have not let through is dropped."""
        lane = self._lane
        if lane is not None:
            self._lane = None
            self._stream = self.tag = 0
            self._messages += lane.messages
            if not self.closed and not self._closing:
                lane.grant()
                self._check()

    def send(self, messages: list[bytes]) -> None:
        """Whole CommandMessages, in as few DATA frames and sends as possible; what the peer's windows do not allow
        waits.

        Does nothing once the session has left the lane: its row says so, or is about to.
        """
        if self._lane is not None and not self.closed and not self._closing:
            self._lane.send(messages)
            self._check()

    def close(self) -> None:
        """Once everything that was written has left, at most `linger` seconds later. Nothing is read any more."""
        if self.closed or self._closing:
            return
        if self._h2 is not None and (last := self._h2.data_to_send()):
            self.pipe.write(last)  # grpclib does not send h2's GOAWAY when it closes on an error
        self._reason = self._reason or ("goaway" if self._goaway else "closed")
        self._closing = True
        self.pipe.deaf()
        self._check()

    def abort(self, reason: str = "aborted") -> None:
        """At once, whatever is queued. reason: for `on_gone`, unless it was closing already."""
        self._end(self._reason if self._closing else reason)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the socket or for the peer's windows."""
        lane = self._lane
        return self.pipe.queued + (len(lane.waiting) if lane is not None and lane.waiting is not None else 0)

    def held_back(self) -> int:
        """Bytes kept of what has come and is no session's."""
        lane = self._lane
        if lane is not None and (lane.messages or not lane.expects):
            return self._guard.holds() if self._guard.held else 0
        return len(self._held) + self._guard.holds() + (0 if lane is None else lane.begun())

    def ready(self, now: float, deadline: float, max_bytes: int) -> bool:
        """Read and write what can be. True if there is more that epoll will not announce."""
        pipe = self.pipe
        more = False
        if now > self._now:
            full = self._frames_full
            self._frames_left = min(full, self._frames_left + (now - self._now) * full)
            self._now = now
        pipe.corked = True
        if not self._closing:
            more = self._read(deadline, max_bytes)
        pipe.corked = False
        if not self.closed:
            pipe.flush()
            self._check()
        return more and not self._closing

    def bury(self) -> None:
        """Tell everybody who has to know that it is gone."""
        if self._lane is not None:
            self._rows.append((self.tag, -1, self._reason))
            self.detach()
        self._h2 = None
        self._held = b""
        try:
            self._protocol.connection_lost(None)
        except Exception as error:
            self._reason += f"; connection_lost raised {type(error).__name__}: {error}"
        told, self.on_gone = self.on_gone, None
        if told is not None:
            told(self._reason)

    def counts(self) -> dict[str, int]:
        messages = self._messages + (self._lane.messages if self._lane is not None else 0)
        return {
            "frames": self._frames,
            "messages": messages,
            "bytes_in": self._bytes_in,
            "bytes_out": self.pipe.sent,
            "sends": self.pipe.sends,
        }

    def _read(self, deadline: float, max_bytes: int) -> bool:
        pipe = self.pipe
        total = 0
        if self._held and self._split(b"", deadline):
            return True
        while not (self.closed or self._closing):
            data = pipe.read(max_bytes - total)
            if data is None:
                return False
            if not data:
                self._end(pipe.error or "eof")
                return False
            self.last_read = self._now
            self._bytes_in += len(data)
            total += len(data)
            if self._split(data, deadline):
                return True
            if not pipe.secure:
                return False
            if total >= max_bytes or monotonic() >= deadline:
                return not pipe.announced()
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
            self._feed(data[:24])
            position = 24
        try:
            position = self._frames_in(data, position, end, deadline)
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
        if position < end or self._slow or self._guard.block:
            self._slow = self.hub.unfinished(self, self._guard, self._frames, self._held != b"", self._now)
        return False

    def _frames_in(self, data: bytes, position: int, end: int, deadline: float) -> int:
        """Where the first frame begins that is not whole; -1 minus that if the slice's time was up."""
        run = position  # where what grpclib is to get begins
        batch = work = 0
        guard = self._guard
        while end - position >= HEADER:
            length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            if length > self._largest:
                self._feed(data[run:position])
                raise Refusal(FRAME_SIZE_ERROR, f"frame of {length} bytes, the limit is {self._largest}")
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
                batch >= BATCH or kind == DATA or (kind == HEADERS and guard.opened >= self._limits.streams)
            ):
                # Before: limits of streams and windows are h2's to tell, and a frame may detach the stream.
                self._feed(data[run:position])
                run, batch = position, 0
                if self.closed or self._closing:
                    return position
                if monotonic() >= deadline:
                    return -position - 1
            self._frames += 1
            lane = self._lane
            self._frames_left -= (
                1.0 - FULL_IS_LESS * length / self._largest
                if kind == DATA and lane is not None and stream == self._stream
                else 1.0
            )
            if self._frames_left < 0.0:
                raise Refusal(ENHANCE_YOUR_CALM, "flood of frames")
            if kind == DATA and lane is not None and stream == self._stream and guard.block == 0:
                run = stop
                work += 1
                if lane.frame(data, flags, position + HEADER, stop, self._now):
                    self._leave("ended")
                    # h2 has not seen the flag, and grpclib learns of the end from h2.
                    self._feed(_last_data(0, 0, DATA, END_STREAM, stream))
                    if self.closed or self._closing:
                        return stop
                if work >= PATIENCE:
                    work = 0
                    if monotonic() >= deadline and end - stop >= HEADER:
                        return -stop - 1
            elif guard.admit(
                kind, flags, stream, data, position + HEADER, stop, 0 if lane is None else lane.debt, self._now
            ):
                batch = (
                    BATCH if kind == GOAWAY else batch + 1
                )  # h2 takes nothing after a GOAWAY, and then forgets what came before
                self._goaway = self._goaway or kind == GOAWAY
                if stream == self._stream and lane is not None and self._leaves(kind, flags):
                    self._feed(data[run:stop])
                    self._leave("reset" if kind == RST_STREAM else "ended")
                    run, batch = stop, 0
            else:
                self._feed(data[run:position])
                run, batch = stop, 0
            position = stop
        self._feed(data[run:position])
        return position

    def _leaves(self, kind: int, flags: int) -> bool:
        """Whether this frame of the attached stream, which is not DATA, is the peer's last."""
        if kind == HEADERS:
            self._ending = flags & END_STREAM
        return kind == RST_STREAM or (
            kind in (HEADERS, CONTINUATION) and self._ending != 0 and flags & END_HEADERS != 0
        )

    def _feed(self, frames: bytes) -> None:
        if not frames or self.closed or self._closing:
            return
        self._reason = "protocol error"  # should grpclib close: it does so on errors and on GOAWAY only
        try:
            self._protocol.data_received(frames)
        except Exception as error:
            self._end(f"{type(error).__name__}: {error}")
        if not (self.closed or self._closing):
            self._reason = ""
        elif self._goaway and self._reason == "protocol error":
            self._reason = "goaway"
        lane = self._lane
        if lane is not None:
            lane.room = 0
            lane.pump()

    def _leave(self, reason: str) -> None:
        """The session is over, the connection is not."""
        if self._lane is not None:
            self._rows.append((self.tag, -1, reason))
            self.detach()

    def refuse(self, code: int, reason: str) -> None:
        """GOAWAY, and the end; for the hub too."""
        if self.closed or self._closing:
            return
        last = 0 if self._h2 is None else self._h2.highest_inbound_stream_id
        words = reason.encode()
        self.pipe.write(_last_words(0, 8 + len(words), GOAWAY, 0, 0, last, code) + words)
        self.pipe.flush()
        self._end(f"guard: {reason}", True)

    def _check(self) -> None:
        """After writing: has the socket failed, or is a closing connection done? While it is corked nothing is known
        yet."""
        pipe = self.pipe
        if self.closed or pipe.corked:
            return
        if pipe.error is not None:
            self._end(self._reason if self._closing else pipe.error)
        elif self._closing:
            if pipe.queued == 0:
                self._end(self._reason, True)
            else:
                self.hub.leaving(self)

    def _end(self, reason: str, gently: bool = False) -> None:
        if not self.closed:
            self.closed = True
            self._reason = reason
            self.pipe.close(gently=gently)
            self.hub.dead(self)

    def become(self, http2: Any) -> None:
        """From now on this is h2's connection object, with the windows as they are."""
        self._h2 = self._guard.http2 = http2
        http2.decoder.max_header_list_size = self._limits.header_list
        if self._lane is not None:
            self._lane.become(http2, http2.streams[self._stream])

    def _http2(self) -> Any:
        """h2's connection object, which grpclib makes in connection_made."""
        if self._h2 is None:
            self.become(self._protocol.connection._connection)
        return self._h2
