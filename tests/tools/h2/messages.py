"""RFC 9113 section 8 (requests), RFC 7541 (header compression), and what gRPC adds (PROTOCOL-HTTP2)."""

from __future__ import annotations

from tests.tools.h2 import must
from tests.tools.h2.wire import (
    ASK,
    COMPRESSION_ERROR,
    END_HEADERS,
    END_STREAM,
    HOLD,
    MAX_HEADER_LIST,
    MAX_STREAMS,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    Client,
    ask,
    block,
    case,
    data,
    frame,
    headers,
    only,
    request,
)

LAST = END_HEADERS | END_STREAM
FIELDS = request()
OPEN = headers(payload=HOLD) + data(b"\0\0\0", flags=0)
MALFORMED = must.break_stream(PROTOCOL_ERROR)
BAD_BLOCK = must.end(COMPRESSION_ERROR)
ENHANCE_YOUR_CALM = 11


def without(name: str) -> list[tuple[str, str]]:
    return [field for field in FIELDS if field[0] != name]


def instead(name: str, value: str) -> list[tuple[str, str]]:
    return [(key, value if key == name else old) for key, old in FIELDS]


def twice(name: str) -> list[tuple[str, str]]:
    return [field for field in FIELDS for _ in range(2 if field[0] == name else 1)]


def limits_are_announced(client: Client) -> None:
    """The limits that the guard enforces (_speedups/http2/limits.py), not h2's defaults."""
    assert client.settings[MAX_STREAMS] == 4 and client.settings[MAX_HEADER_LIST] == 16_384


HTTP = [
    case("8.1", "second HEADERS without END_STREAM", OPEN, headers(payload=block([("x-test", "ok")])), MALFORMED),
    case("8.1.2", "upper-case field name", only([*FIELDS, ("X-TEST", "ok")]), MALFORMED),
    case("8.1.2.1", "unknown pseudo-header", only([(":test", "ok"), *FIELDS]), MALFORMED),
    case("8.1.2.1", "pseudo-header of answers", only([(":status", "200"), *FIELDS]), MALFORMED),
    case("8.1.2.1", "pseudo-header in trailers", OPEN, only([(":method", "POST")]), MALFORMED),
    case("8.1.2.1", "pseudo-header after a field", only([("x-test", "ok"), *FIELDS]), MALFORMED),
    case("8.1.2.2", "connection", only([*FIELDS, ("connection", "keep-alive")]), MALFORMED),
    case("8.1.2.2", "te that is not trailers", only(instead("te", "trailers, deflate")), MALFORMED),
    case("8.1.2.3", "empty :path", only(instead(":path", "")), MALFORMED),
    case("8.1.2.3", "no :method", only(without(":method")), MALFORMED),
    case("8.1.2.3", "no :scheme", only(without(":scheme")), MALFORMED),
    case("8.1.2.3", "no :path", only(without(":path")), MALFORMED),
    case("8.1.2.3", ":method twice", only(twice(":method")), MALFORMED),
    case("8.1.2.3", ":scheme twice", only(twice(":scheme")), MALFORMED),
    case("8.1.2.3", ":path twice", only(twice(":path")), MALFORMED),
    case(
        "8.1.2.6",
        "content-length that is not DATA's",
        headers(payload=HOLD + block([("content-length", "1")])),
        data(),
        MALFORMED,
    ),
    case(
        "8.1.2.6",
        "content-length that is not the sum of DATA's",
        headers(payload=HOLD + block([("content-length", "1")])),
        data(b"\0\0\0\0", flags=0),
        data(b"\0\0\0\0"),
        MALFORMED,
    ),
    case("8.2", "PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x03" + ASK), must.end(PROTOCOL_ERROR)),
]

HPACK = [
    case("hpack 2.3.3", "index that is not there", headers(1, LAST, ASK + b"\xc6"), BAD_BLOCK),
    case("hpack 2.3.3", "literal whose name's index is not there", headers(1, LAST, ASK + b"\x7f\x07\0"), BAD_BLOCK),
    case("hpack 4.2", "table size update at the end of a block", headers(1, LAST, ASK + b"\x21"), BAD_BLOCK),
    case(
        "hpack 5.2",
        "Huffman padding of more than 7 bits",
        headers(1, LAST, ASK + b"\0\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        BAD_BLOCK,
    ),
    case(
        "hpack 5.2",
        "Huffman padding of zeros",
        headers(1, LAST, ASK + b"\0\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        BAD_BLOCK,
    ),
    case(
        "hpack 5.2",
        "Huffman with EOS",
        headers(1, LAST, ASK + b"\0\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"),
        BAD_BLOCK,
    ),
    case("hpack 6.1", "index 0", headers(1, LAST, ASK + b"\x80"), BAD_BLOCK),
    case("hpack 6.3", "table size above HEADER_TABLE_SIZE", headers(1, LAST, b"\x3f\xe2\x1f" + ASK), BAD_BLOCK),
]

GRPC = [
    case("grpc", "our own limits are announced", limits_are_announced),
    case("grpc", "unknown method", headers(payload=block(instead(":path", "/a.B/C"))), data(), must.status(200, 12)),
    case(
        "grpc",
        "content-type of something else",
        headers(payload=block(instead("content-type", "text/plain"))),
        data(),
        must.status(415, words=True),
    ),
    case(
        "grpc", "no content-type", headers(payload=block(without("content-type"))), data(), must.status(415, words=True)
    ),
    case(
        "grpc",
        "content-type with a message format",
        headers(payload=block(instead("content-type", "application/grpc+proto"))),
        data(),
        must.answer(),
    ),
    case(
        "grpc",
        "content-type of JSON",
        headers(payload=block(instead("content-type", "application/grpc+json"))),
        data(),
        must.status(415, words=True),
    ),
    case("grpc", "no te", headers(payload=block(without("te"))), data(), must.status(400, 2)),
    case("grpc", "PUT", headers(payload=block(instead(":method", "PUT"))), data(), must.status(405, words=True)),
    case("grpc", "no token", headers(payload=block(without("authorization"))), data(), must.status(200, 16)),
    case("grpc", "compressed message", headers(), data(b"\x01\0\0\0\0"), must.status(200, 12)),
    case("grpc", "message that ends early", headers(), data(b"\0\0\0\0\x09abc"), must.status(200, 13)),
    case("grpc", "no message", headers(1, LAST), must.status(200, 3)),
    case(
        "grpc", "message above the limit", headers(), data(b"\0\xff\xff\xff\xff", flags=0), must.end(ENHANCE_YOUR_CALM)
    ),
    case("grpc", "timeout that is none", ask(fields=[("grpc-timeout", "soon")]), must.status(200, 13)),
    case("grpc", "timeout of nine digits", ask(fields=[("grpc-timeout", "123456789H")]), must.status(200, 13)),
    case("grpc", "two calls on one connection", ask(1), must.answer(1), ask(3), must.answer(3)),
    case(
        "grpc",
        "header list above the limit",
        headers(1, LAST, ASK + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4_000 + b"\xbe" * 5),
        must.end(ENHANCE_YOUR_CALM),
    ),
]
