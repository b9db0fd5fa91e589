"""HTTP/2 frame types, flags and the few frames that are written by hand (RFC 9113 sections 4.1 and 6)."""

from __future__ import annotations

from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9
"""Bytes of a frame's header: length (3), type, flags, stream (4)."""
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08

_goaway = Struct(">HBBBIII").pack
_header = Struct(">HBBBI").pack


def goaway(last_stream: int, code: int, text: bytes = b"") -> bytes:
    """A GOAWAY frame.

    Args:
        last_stream: highest stream of the peer that was processed.
        code: an error code of RFC 9113 section 7.
        text: debug data, at most 247 bytes.
    """
    return _goaway(0, 8 + len(text), GOAWAY, 0, 0, last_stream, code) + text


def end_stream(stream: int) -> bytes:
    """An empty DATA frame that ends the stream."""
    return _header(0, 0, DATA, END_STREAM, stream)
