"""Splits the bytes of a connection into frames, and hands each to the attached stream or to grpclib.

This file runs as it is, and is compiled a second time as `_speedups.http2.frame_reader_c` with the types of
frame_reader_c.pxd.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from _speedups.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADER,
    HEADERS,
    RST_STREAM,
    end_stream,
)
from _speedups.http2.guard import Refusal
from _speedups.http2.limits import ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, FULL_FRAME_DISCOUNT

if TYPE_CHECKING:
    from _speedups.http2 import connection_py as connections

GRPCLIB_BATCH = 8
"""Frames given to grpclib at once. The slice's time is checked between batches: h2 takes 50 to 300 µs per frame."""
FRAMES_PER_CLOCK_CHECK = 64
"""Frames of the attached stream between two checks of the clock."""


def read_frames(conn: connections.Conn, data: bytes, position: int, end: int, deadline: float) -> int:
    """Handle whole frames in data[position:end].

    Returns:
        Where the first incomplete frame begins; -1 minus that if the slice's time is up.

    Raises:
        Refusal: the peer broke the protocol or exceeded a limit.
    """
    run = position  # where the frames for grpclib begin
    batch = work = 0
    guard = conn._guard
    while end - position >= HEADER:
        length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
        if length > conn._max_frame:
            conn._pass_to_grpclib(data[run:position])
            raise Refusal(FRAME_SIZE_ERROR, f"frame of {length} bytes, the limit is {conn._max_frame}")
        stop = position + HEADER + length
        if stop > end:
            break
        kind = data[position + 3]
        flags = data[position + 4]
        stream = (
            (data[position + 5] & 0x7F) << 24 | data[position + 6] << 16 | data[position + 7] << 8 | data[position + 8]
        )
        if run < position and (
            batch >= GRPCLIB_BATCH or kind == DATA or (kind == HEADERS and guard.opened >= conn._limits.streams)
        ):
            # Fed before, because h2 knows the limits of streams and windows, and a frame may detach the stream.
            conn._pass_to_grpclib(data[run:position])
            run, batch = position, 0
            if conn.closed or conn._closing:
                return position
            if monotonic() >= deadline:
                return -position - 1
        conn._frames += 1
        attached = conn._attached
        conn._frames_left -= (
            1.0 - FULL_FRAME_DISCOUNT * length / conn._max_frame
            if kind == DATA and attached is not None and stream == conn._stream_id
            else 1.0
        )
        if conn._frames_left < 0.0:
            raise Refusal(ENHANCE_YOUR_CALM, "flood of frames")
        if kind == DATA and attached is not None and stream == conn._stream_id and guard.block == 0:
            run = stop
            work += 1
            if attached.frame(data, flags, position + HEADER, stop, conn._now):
                conn._end_session("ended")
                # h2 has not seen the flag, and grpclib learns from h2 that the stream has ended.
                conn._pass_to_grpclib(end_stream(stream))
                if conn.closed or conn._closing:
                    return stop
            if work >= FRAMES_PER_CLOCK_CHECK:
                work = 0
                if monotonic() >= deadline and end - stop >= HEADER:
                    return -stop - 1
        elif guard.admit(
            kind, flags, stream, data, position + HEADER, stop, 0 if attached is None else attached.debt, conn._now
        ):
            batch = (
                GRPCLIB_BATCH if kind == GOAWAY else batch + 1
            )  # after a GOAWAY, h2 reads nothing and forgets what it has just read
            conn._goaway_seen = conn._goaway_seen or kind == GOAWAY
            if stream == conn._stream_id and attached is not None and _ends_stream(conn, kind, flags):
                conn._pass_to_grpclib(data[run:stop])
                conn._end_session("reset" if kind == RST_STREAM else "ended")
                run, batch = stop, 0
        else:
            conn._pass_to_grpclib(data[run:position])
            run, batch = stop, 0
        position = stop
    conn._pass_to_grpclib(data[run:position])
    return position


def _ends_stream(conn: connections.Conn, kind: int, flags: int) -> bool:
    """True if this frame of the attached stream, which is not DATA, is the peer's last."""
    if kind == HEADERS:
        conn._trailers_end_stream = flags & END_STREAM
    return kind == RST_STREAM or (
        kind in (HEADERS, CONTINUATION) and conn._trailers_end_stream != 0 and flags & END_HEADERS != 0
    )
