"""Section 6, frame by frame, and section 7, error codes."""

from __future__ import annotations

from tests.tools.h2 import must
from tests.tools.h2.wire import (
    ACK,
    ASK,
    CANCEL,
    CONTINUATION,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HOLD,
    LONG,
    MAX_FRAME,
    PADDED,
    PROTOCOL_ERROR,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW,
    ask,
    case,
    data,
    frame,
    headers,
    ping,
    priority,
    reset,
    settings,
    window,
)

LAST = END_HEADERS | END_STREAM
MOST = 2**31 - 1
OPEN = headers(payload=HOLD)


def more(flags: int, stream: int = 1) -> bytes:
    return frame(CONTINUATION, flags, stream, LONG)


CASES = [
    case("6.1", "DATA on stream 0", data(stream=0), must.end(PROTOCOL_ERROR)),
    case("6.1", "DATA on a stream that is not open", headers(flags=LAST), data(), must.break_stream(STREAM_CLOSED)),
    case("6.1", "DATA with too much padding", OPEN, data(b"\x06Test", flags=PADDED | END_STREAM), must.end(PROTOCOL_ERROR)),
    case("6.2", "HEADERS without END_HEADERS, then PRIORITY", headers(flags=0), priority(), more(END_HEADERS), must.end(PROTOCOL_ERROR)),
    case("6.2", "HEADERS without END_HEADERS, then another stream", headers(flags=0), headers(3, LAST), must.end(PROTOCOL_ERROR)),
    case("6.2", "HEADERS on stream 0", headers(0, LAST), must.end(PROTOCOL_ERROR)),
    case("6.2", "HEADERS with too much padding", headers(1, LAST | PADDED, bytes([len(ASK) + 1]) + ASK), must.break_stream(PROTOCOL_ERROR)),
    case("6.3", "PRIORITY on stream 0", priority(0), must.end(PROTOCOL_ERROR)),
    case("6.3", "PRIORITY of 4 bytes", OPEN, frame(2, 0, 1, b"\x80\0\0\x01"), must.break_stream(FRAME_SIZE_ERROR)),
    case("6.4", "RST_STREAM on stream 0", reset(0), must.end(PROTOCOL_ERROR)),
    case("6.4", "RST_STREAM on an idle stream", reset(1), must.end(PROTOCOL_ERROR)),
    case("6.4", "RST_STREAM of 3 bytes", OPEN, frame(3, 0, 1, bytes(3)), must.end(FRAME_SIZE_ERROR)),
    case("6.5", "SETTINGS with ACK and a payload", frame(SETTINGS, ACK, 0, b"\0"), must.end(FRAME_SIZE_ERROR)),
    case("6.5", "SETTINGS on stream 1", frame(SETTINGS, 0, 1, b"\0\x03\0\0\0\x64"), must.end(PROTOCOL_ERROR)),
    case("6.5", "SETTINGS of 3 bytes", frame(SETTINGS, 0, 0, b"\0\x03\0"), must.end(FRAME_SIZE_ERROR)),
    case("6.5.2", "ENABLE_PUSH neither 0 nor 1", settings((ENABLE_PUSH, 2)), must.end(PROTOCOL_ERROR)),
    case("6.5.2", "INITIAL_WINDOW_SIZE above 2^31-1", settings((WINDOW, MOST + 1)), must.end(FLOW_CONTROL_ERROR)),
    case("6.5.2", "MAX_FRAME_SIZE below 2^14", settings((MAX_FRAME, 16_383)), must.end(PROTOCOL_ERROR)),
    case("6.5.2", "MAX_FRAME_SIZE above 2^24-1", settings((MAX_FRAME, 2**24)), must.end(PROTOCOL_ERROR)),
    case("6.5.2", "unknown setting", settings((0xFF, 1)), ping(), must.pong()),
    case("6.5.3", "INITIAL_WINDOW_SIZE twice in one frame", settings((WINDOW, 100), (WINDOW, 1)), must.ack_settings, ask(), must.send_data(1)),
    case("6.5.3", "SETTINGS without ACK", settings((ENABLE_PUSH, 0)), must.ack_settings),
    case("6.7", "PING", ping(b"conform1"), must.pong(b"conform1")),
    case("6.7", "PING with ACK is not answered", ping(b"invalid1", ACK), ping(b"conform1"), must.pong(b"conform1")),
    case("6.7", "PING on stream 1", ping(stream=1), must.end(PROTOCOL_ERROR)),
    case("6.7", "PING of 6 bytes", ping(bytes(6)), must.end(FRAME_SIZE_ERROR)),
    case("6.8", "GOAWAY on stream 1", frame(GOAWAY, 0, 1, bytes(8)), must.end(PROTOCOL_ERROR)),
    case("6.9", "WINDOW_UPDATE of 0", window(0), must.end(PROTOCOL_ERROR)),
    case("6.9", "WINDOW_UPDATE of 0 on a stream", OPEN, window(0, 1), must.break_stream(PROTOCOL_ERROR)),
    case("6.9", "WINDOW_UPDATE of 3 bytes", frame(8, 0, 0, b"\0\0\x01"), must.end(FRAME_SIZE_ERROR)),
    case("6.9.1", "a window of 1 byte is kept to", settings((WINDOW, 1)), must.ack_settings, ask(), must.send_data(1)),
    case("6.9.1", "the connection's window above 2^31-1", window(MOST), window(MOST), must.end(FLOW_CONTROL_ERROR)),
    case("6.9.1", "a stream's window above 2^31-1", OPEN, window(MOST, 1), window(MOST, 1), must.break_stream(FLOW_CONTROL_ERROR)),
    case("6.9.2", "INITIAL_WINDOW_SIZE changed meanwhile", settings((WINDOW, 0)), must.ack_settings, ask(), settings((WINDOW, 1)), must.send_data(1)),
    case(
        "6.9.2",
        "a window below 0",
        settings((WINDOW, 3)), must.ack_settings, ask(), must.send_data(3), settings((WINDOW, 2)), must.ack_settings,
        window(2, 1), must.send_data(1),
    ),
    case("6.9.2", "INITIAL_WINDOW_SIZE of 2^31", frame(SETTINGS, 0, 0, b"\0\x04\x80\0\0\0"), must.end(FLOW_CONTROL_ERROR)),
    case("6.10", "several CONTINUATION frames", headers(flags=0), more(0), more(END_HEADERS), data(), must.answer()),
    case("6.10", "CONTINUATION, then another frame", headers(flags=0), more(0), data(), must.end(PROTOCOL_ERROR)),
    case("6.10", "CONTINUATION on stream 0", headers(flags=0), more(END_HEADERS, 0), must.end(PROTOCOL_ERROR)),
    case("6.10", "CONTINUATION after END_HEADERS", OPEN, more(END_HEADERS), must.end(PROTOCOL_ERROR)),
    case("6.10", "CONTINUATION after one with END_HEADERS", headers(flags=0, payload=HOLD), more(END_HEADERS), more(END_HEADERS), must.end(PROTOCOL_ERROR)),
    case("6.10", "CONTINUATION after DATA", headers(flags=0), data(), more(0), more(END_HEADERS, 0), must.end(PROTOCOL_ERROR)),
    case("7", "GOAWAY with an unknown code", frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\xff"), ping(), must.ping_ack_before_goaway_or_close),
    case("7", "RST_STREAM with an unknown code", OPEN, reset(code=0xFF), ping(), must.pong()),
    case("7", "RST_STREAM with a known code", OPEN, reset(code=CANCEL), ping(), must.pong()),
]
