"""RFC 9113 sections 3, 4 and 5: connection start, frames and header blocks, stream states, errors, extensions."""

from __future__ import annotations

from tests.tools.h2 import must
from tests.tools.h2.wire import (
    ASK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE_ERROR,
    HOLD,
    LONG,
    MAX_STREAMS,
    PREFACE,
    PRIORITIZED,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    WINDOW,
    Client,
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
from tests.tools.h2.wire import COMPRESSION_ERROR as BAD_BLOCK

UNKNOWN = frame(0x16, 0, 0, bytes(8))
LAST = END_HEADERS | END_STREAM
MORE = frame(CONTINUATION, END_HEADERS, 1, LONG)
BIG = 16_384


def one_stream_too_many(client: Client) -> None:
    for number in range(client.settings[MAX_STREAMS] + 1):
        client.send(headers(2 * number + 1, payload=HOLD))
    last = 2 * client.settings[MAX_STREAMS] + 1
    must.break_stream(PROTOCOL_ERROR, REFUSED_STREAM, stream=last)(client)


CASES = [
    case("3.5", "server preface", PREFACE + settings((WINDOW, 65_535)), must.greet_first, greet=False),
    case("3.5", "wrong preface", b"INVALID CONNECTION PREFACE\r\n\r\n", must.end(PROTOCOL_ERROR), greet=False),
    case("4.1", "frame of an unknown type", UNKNOWN, ping(), must.pong()),
    case("4.1", "undefined flag", ping(flags=0x16), must.pong()),
    case("4.1", "reserved bit", frame(6, 0x16, 1 << 31, bytes(8)), must.pong()),
    case(
        "4.2",
        "DATA of 2^14 bytes",
        headers(),
        data((BIG - 5).to_bytes(5, "big") + b"\x12" + bytes(BIG - 6)),
        must.status(200, 13),
    ),
    case("4.2", "DATA above MAX_FRAME_SIZE", headers(), data(bytes(BIG + 1)), must.break_stream(FRAME_SIZE_ERROR)),
    case("4.2", "HEADERS above MAX_FRAME_SIZE", headers(payload=ASK + LONG * 5), must.end(FRAME_SIZE_ERROR)),
    case("4.3", "header block that ends early", frame(1, LAST, 1, b"\x40"), must.end(BAD_BLOCK)),
    case("4.3", "PRIORITY within a header block", headers(flags=0), priority(), MORE, must.end(PROTOCOL_ERROR)),
    case(
        "4.3",
        "HEADERS of another stream within a header block",
        headers(flags=0),
        headers(3, LAST),
        MORE,
        must.end(PROTOCOL_ERROR),
    ),
    case("5.1", "idle: DATA", data(), must.end(PROTOCOL_ERROR, STREAM_CLOSED)),
    case("5.1", "idle: RST_STREAM", reset(), must.end(PROTOCOL_ERROR)),
    case("5.1", "idle: WINDOW_UPDATE", window(100, 1), must.end(PROTOCOL_ERROR)),
    case("5.1", "idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, ASK), must.end(PROTOCOL_ERROR)),
    case("5.1", "half closed (remote): DATA", headers(flags=LAST), data(), must.break_stream(STREAM_CLOSED)),
    case(
        "5.1",
        "half closed (remote): HEADERS",
        headers(flags=LAST),
        headers(flags=LAST),
        must.break_stream(STREAM_CLOSED),
    ),
    case(
        "5.1", "half closed (remote): CONTINUATION", headers(flags=LAST), MORE, must.end(STREAM_CLOSED, PROTOCOL_ERROR)
    ),
    case("5.1", "closed by RST_STREAM: DATA", headers(), reset(), data(), must.break_stream(STREAM_CLOSED)),
    case("5.1", "closed by RST_STREAM: HEADERS", headers(), reset(), headers(), must.break_stream(STREAM_CLOSED)),
    case(
        "5.1", "closed by RST_STREAM: CONTINUATION", headers(), reset(), MORE, must.end(STREAM_CLOSED, PROTOCOL_ERROR)
    ),
    case("5.1", "closed: DATA", ask(), must.close_stream, data(), must.break_stream(STREAM_CLOSED)),
    case("5.1", "closed: HEADERS", ask(), must.close_stream, headers(), must.end(STREAM_CLOSED)),
    case("5.1", "closed: CONTINUATION", ask(), must.close_stream, MORE, must.end(STREAM_CLOSED, PROTOCOL_ERROR)),
    case("5.1.1", "even stream number", headers(2, LAST), must.end(PROTOCOL_ERROR)),
    case("5.1.1", "stream number below an earlier one", ask(5), headers(3, LAST), must.end(PROTOCOL_ERROR)),
    case("5.1.2", "one stream above MAX_CONCURRENT_STREAMS", one_stream_too_many),
    case(
        "5.3.1",
        "HEADERS that depends on itself",
        headers(1, LAST | PRIORITIZED, b"\0\0\0\x01\xff" + ASK),
        must.break_stream(PROTOCOL_ERROR),
    ),
    case("5.3.1", "PRIORITY that depends on itself", priority(on=1), must.break_stream(PROTOCOL_ERROR)),
    case("5.4.1", "after an invalid PING: close", ping(stream=3), must.close),
    case("5.4.1", "after an invalid PING: GOAWAY first", ping(stream=3), must.end(PROTOCOL_ERROR)),
    case("5.5", "extension frame", UNKNOWN, ping(), must.pong()),
    case("5.5", "extension frame within a header block", headers(flags=END_STREAM), UNKNOWN, must.end(PROTOCOL_ERROR)),
]
