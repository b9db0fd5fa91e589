"""What every server must take (h2spec's "generic" cases)."""

from __future__ import annotations

from tests.tools.h2 import must
from tests.tools.h2.wire import (
    ASK,
    CONTINUATION,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADER_TABLE_SIZE,
    MAX_FRAME,
    MAX_HEADER_LIST,
    MAX_STREAMS,
    PADDED,
    PREFACE,
    PRIORITIZED,
    WINDOW,
    Case,
    ask,
    block,
    case,
    data,
    frame,
    headers,
    only,
    ping,
    priority,
    request,
    reset,
    settings,
    window,
)

WORD = b"conform1"
GET, HEAD = only(request("GET")), only(request("HEAD"))


def _hpack(what: str, representation: bytes) -> Case:
    return case("generic 5", what, headers(payload=ASK + representation), data(), must.answer())


AGENT, AGENT_HUFFMAN = b"\x0auser-agent\x06h2spec", b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4"
TEST, TEST_HUFFMAN = b"\x06x-test\x06h2spec", b"\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4"

CASES = [
    case("generic 1", "client preface", PREFACE + settings((WINDOW, 65_535)), must.greet_first, greet=False),
    case("generic 2", "PRIORITY on an idle stream", priority(), ping(), must.pong()),
    case("generic 2", "WINDOW_UPDATE on a half-closed stream", settings((WINDOW, 0)), ask(), window(1, 1), must.send_data(1)),
    case("generic 2", "PRIORITY on a half-closed stream", settings((WINDOW, 0)), ask(), priority(), window(1, 1), must.send_data(1)),
    case("generic 2", "RST_STREAM on a half-closed stream", ask(), reset(), ping(), must.pong()),
    case("generic 2", "PRIORITY on a closed stream", ask(), must.close_stream, priority(), ping(), must.pong()),
    case("generic 3.1", "DATA", ask(), must.answer()),
    case("generic 3.1", "several DATA frames", headers(), data(b"\0\0", flags=0), data(b"\0\0\0"), must.answer()),
    case("generic 3.1", "DATA with padding", headers(), data(b"\x05" + bytes(10), flags=PADDED | END_STREAM), must.answer()),
    case("generic 3.2", "HEADERS", headers(), data(), must.answer()),
    case("generic 3.2", "HEADERS with padding", headers(1, END_HEADERS | PADDED, b"\x08" + ASK + bytes(8)), data(), must.answer()),
    case("generic 3.2", "HEADERS with priority", headers(1, END_HEADERS | PRIORITIZED, b"\0\0\0\0\xff" + ASK), data(), must.answer()),
    case("generic 3.3", "PRIORITY of weight 1", priority(weight=0), ask(), must.answer()),
    case("generic 3.3", "PRIORITY of weight 256", priority(weight=255), ask(), must.answer()),
    case("generic 3.3", "PRIORITY with a dependency", priority(3, on=1), ask(), must.answer()),
    case("generic 3.3", "PRIORITY, exclusive", priority(weight=0, exclusive=True), ask(), must.answer()),
    case("generic 3.3", "PRIORITY on an idle stream, then a lower stream", priority(3), ask(1), must.answer(1)),
    case("generic 3.4", "RST_STREAM", headers(), reset(), ping(), must.pong()),
    case(
        "generic 3.5",
        "SETTINGS",
        settings((HEADER_TABLE_SIZE, 4_096), (ENABLE_PUSH, 1), (MAX_STREAMS, 100), (WINDOW, 65_535), (MAX_FRAME, 16_384), (MAX_HEADER_LIST, 100)),
        must.ack_settings,
    ),
    case("generic 3.7", "PING", ping(WORD), must.pong(WORD)),
    case("generic 3.8", "GOAWAY", frame(GOAWAY, 0, 0, bytes(8) + b"bye"), ping(WORD), must.ping_ack_before_goaway_or_close),
    case("generic 3.9", "WINDOW_UPDATE of the connection", window(1), ping(), must.pong()),
    case("generic 3.9", "WINDOW_UPDATE of a stream", headers(), window(1, 1), data(), must.answer()),
    case("generic 3.10", "CONTINUATION", headers(1, 0, ASK[:5]), frame(CONTINUATION, END_HEADERS, 1, ASK[5:]), data(), must.answer()),
    case(
        "generic 3.10",
        "several CONTINUATION frames",
        headers(1, 0, ASK[:5]), frame(CONTINUATION, 0, 1, ASK[5:10]), frame(CONTINUATION, END_HEADERS, 1, ASK[10:]), data(),
        must.answer(),
    ),
    case("generic 4", "GET", GET, must.status(405, words=True)),
    case("generic 4", "HEAD", HEAD, must.status(405)),
    case("generic 4", "POST", ask(), must.answer()),
    case(
        "generic 4",
        "POST with trailers",
        headers(payload=ASK + block([("trailer", "x-test")])), data(flags=0), only([("x-test", "ok")]),
        must.answer(),
    ),
    case("generic 5", "indexed field", headers(payload=ASK + b"\x40\x06x-test\x02ok\xbe"), data(), must.answer()),
    _hpack("incremental indexing, name as a literal", b"\x40" + AGENT),
    _hpack("incremental indexing, name as a literal, Huffman", b"\x40" + AGENT_HUFFMAN),
    _hpack("incremental indexing, indexed name", b"\x7a\x06h2spec"),
    _hpack("incremental indexing, new name", b"\x40" + TEST),
    _hpack("incremental indexing, new name, Huffman", b"\x40" + TEST_HUFFMAN),
    _hpack("without indexing, indexed name", b"\x0f\x2b\x06h2spec"),
    _hpack("without indexing, name as a literal, Huffman", b"\0" + AGENT_HUFFMAN),
    _hpack("without indexing, new name", b"\0" + TEST),
    _hpack("without indexing, new name, Huffman", b"\0" + TEST_HUFFMAN),
    _hpack("never indexed, indexed name", b"\x1f\x2b\x06h2spec"),
    _hpack("never indexed, name as a literal, Huffman", b"\x10" + AGENT_HUFFMAN),
    _hpack("never indexed, new name", b"\x10" + TEST),
    _hpack("never indexed, new name, Huffman", b"\x10" + TEST_HUFFMAN),
    case("generic 5", "dynamic table size update", headers(payload=b"\x3f\x61" + ASK), data(), must.answer()),
    case("generic 5", "two dynamic table size updates", headers(payload=b"\x3f\x61\x3f\xe1\x1f" + ASK), data(), must.answer()),
]
