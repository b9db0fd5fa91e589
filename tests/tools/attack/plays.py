"""What each attack sends on one connection: bytes, with pauses in seconds between them, until the server
cuts it off.
"""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count

from _speedups.http2.limits import ConnectionLimits
from loadtest.swarm.loop import PATH
from loadtest.swarm.protocol.h2 import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    request_block,
)
from proto.messages import CommandMessage, CommandResult, Outcome, OutputDigest

Play = Iterator[bytes | float]

END_STREAM, END_HEADERS = 1, 4
BATCH = 50
FOREVER = 3_600.0
BLOCK = request_block("localhost", PATH, "", tls=False)
OVERFLOW = struct.pack(">I", (1 << 31) - 1)
SEED = 20_240_607
RESULT = 500 << 10
PACE = 0.25
"""Seconds between two results of a host that respects its credits, see Limits.unsolicited_rate."""
CLAIMS = 1_000
"""Executions in an attacker's Hello."""


def _calls(flags: int = END_HEADERS, each: bytes = b"", kind: int | None = None) -> Play:
    """Send calls, each followed by a frame of this kind on its stream."""
    streams = count(3, 2)
    while True:
        yield b"".join(
            frame(HEADERS, flags, s, BLOCK) + (b"" if kind is None else frame(kind, 0, s, each))
            for _ in range(BATCH)
            for s in [next(streams)]
        )


def _same(one: bytes) -> Play:
    while True:
        yield one * BATCH


def rapid_reset() -> Play:
    return _calls(each=b"\0\0\0\x08", kind=RST_STREAM)


def reset_by_overflow() -> Play:
    return _calls(each=OVERFLOW, kind=WINDOW_UPDATE)


def reset_by_no_increment() -> Play:
    return _calls(each=bytes(4), kind=WINDOW_UPDATE)


def reset_by_data_after_the_end() -> Play:
    return _calls(END_HEADERS | END_STREAM, b"x", DATA)


def reset_by_a_stream_on_itself() -> Play:
    """Send PRIORITY that makes a stream depend on itself (RFC 9113 section 5.3.1)."""
    streams = count(3, 2)
    while True:
        yield b"".join(
            frame(HEADERS, END_HEADERS, s, BLOCK) + frame(PRIORITY, 0, s, struct.pack(">IB", s, 1))
            for _ in range(BATCH)
            for s in [next(streams)]
        )


def settings() -> Play:
    return _same(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)))


def pings() -> Play:
    return _same(frame(PING, 0, 0, b"attacker"))


def priorities() -> Play:
    return _same(frame(PRIORITY, 0, 101, struct.pack(">IB", 0, 1)))


def window_updates() -> Play:
    return _same(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"))


def empty_data() -> Play:
    yield frame(HEADERS, END_HEADERS, 3, BLOCK)
    yield from _same(frame(DATA, 0, 3))


def empty_data_of_a_session() -> Play:
    return _same(frame(DATA, 0, 1))


def continuations() -> Play:
    yield frame(HEADERS, 0, 3, BLOCK[:10])
    yield from _same(frame(CONTINUATION, 0, 3))


def big_continuations() -> Play:
    yield frame(HEADERS, 0, 3, BLOCK[:10])
    yield from _same(frame(CONTINUATION, 0, 3, bytes(4_000)))


def hpack_bomb() -> Play:
    """Put one long value into the decoder's table, then refer to it repeatedly with one byte each."""
    size = 4_000 - 127
    value = b"\x40\x01a\x7f" + bytes((size & 0x7F | 0x80, size >> 7)) + b"v" * 4_000
    streams = count(3, 2)
    while True:
        yield frame(HEADERS, END_HEADERS, next(streams), BLOCK + value + b"\xbe" * 8_000)


def headers_without_end() -> Play:
    yield frame(HEADERS, 0, 3, BLOCK[:10])
    yield FOREVER


def slow_headers() -> Play:
    yield frame(HEADERS, 0, 3, BLOCK[:10])
    for byte in frame(CONTINUATION, END_HEADERS, 3, bytes(4_000)):
        yield bytes((byte,))
        yield 1.0


def slow_frame() -> Play:
    for byte in frame(0xFA, 0, 0, bytes(16_000)):
        yield bytes((byte,))
        yield 1.0


def slow_preface() -> Play:
    for byte in PREFACE * 100:
        yield bytes((byte,))
        yield 1.0


def silence() -> Play:
    yield FOREVER


def beats() -> Play:
    """Send a heartbeat per second, so that the connection is not closed for silence."""
    while True:
        yield frame(DATA, 0, 1, b"\0\0\0\0\x04" + b"\x62\x02\x08\x01")
        yield 1.0


def streams_at_once() -> Play:
    yield b"".join(frame(HEADERS, END_HEADERS, s, BLOCK) for s in range(3, 43, 2))
    yield FOREVER


def calls() -> Play:
    return _calls(END_HEADERS | END_STREAM)


def second_calls() -> Play:
    """Send a second call with a Hello on a connection that has a session."""
    yield frame(HEADERS, END_HEADERS, 3, BLOCK) + frame(DATA, 0, 3, b"\0\0\0\0\0")
    yield FOREVER


def long_frame() -> Play:
    yield frame(DATA, 0, 1, bytes(16_385))[:9]
    yield FOREVER


def _lie(stream: int) -> Play:
    yield frame(DATA, 0, stream, b"\0\xff\xff\xff\xff" + bytes(1_000))
    yield from _same(frame(DATA, 0, stream, bytes(16_000)))


def lying_length() -> Play:
    yield frame(HEADERS, END_HEADERS, 3, BLOCK)
    yield from _lie(3)


def lying_length_of_a_session() -> Play:
    return _lie(1)


def hoard() -> Play:
    """Send all but the last byte of the longest allowed Hello."""
    largest = ConnectionLimits().hello_bytes
    yield frame(DATA, 0, 1, b"\0" + (largest - 5).to_bytes(4, "big"))
    left = largest - 6
    while left:
        size = min(left, 16_000)
        left -= size
        yield frame(DATA, 0, 1, bytes(size))
        yield 0.001
    yield FOREVER


def messages() -> Play:
    """Send the smallest messages in full frames."""
    return _same(frame(DATA, 0, 1, b"\0\0\0\0\0" * 3_200))


def _result(command_id: str, size: int, rng: random.Random) -> bytes:
    """Return DATA frames of a result of this execution with unique output."""
    data = rng.randbytes(size)
    half = size // 2
    digest = OutputDigest(head=data[:half], tail=data[half:], total_bytes=size, sha256=sha256(data).digest())
    body = bytes(CommandMessage(command_result=CommandResult(command_id, 1, Outcome.COMPLETED, 0, stdout=digest)))
    body = struct.pack(">BI", 0, len(body)) + body
    return b"".join(frame(DATA, 0, 1, body[at : at + 16_384]) for at in range(0, len(body), 16_384))


def _id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128)))


def claimed_id(number: int) -> str:
    """Return the id of the n-th execution in an attacker's Hello, see Link."""
    return str(uuid.UUID(int=number + 1))


def invented_results(pause: float) -> Callable[[], Play]:
    """Send results of 500 KiB for executions that never existed. `pause`: seconds between two of them."""

    def play() -> Play:
        rng = random.Random(SEED)
        while True:
            yield _result(_id(rng), RESULT, rng)
            yield pause

    return play


def claimed_results() -> Play:
    """Send the same for executions named in its Hello, with assigned numbers."""
    rng = random.Random(SEED)
    for number in count():
        yield _result(claimed_id(number % CLAIMS), RESULT, rng)
        yield PACE


def repeated_results() -> Play:
    """Send one result repeatedly, each time with different output."""
    rng = random.Random(SEED)
    while True:
        yield _result(claimed_id(0), RESULT, rng)
        yield PACE


def comes_again() -> Play:
    """End the call in order and reconnect with other facts and labels."""
    yield frame(DATA, END_STREAM, 1)
    yield FOREVER


def unknown_frames() -> Play:
    """Send frames of undefined types at an allowed rate: they must be ignored (RFC 9113 section 4.1)."""
    for kind in count():
        yield b"".join(frame(10 + (kind + n) % 246, n, n, bytes(n)) for n in range(50))
        yield 0.1


def unknown_frame_flood() -> Play:
    return _same(frame(0xFA, 0, 0, b"?"))


def random_bytes() -> Play:
    rng = random.Random(SEED)
    while True:
        yield rng.randbytes(4_096)


def random_frames() -> Play:
    rng = random.Random(SEED)
    while True:
        yield b"".join(
            frame(rng.randrange(11), rng.randrange(256), rng.randrange(8), rng.randbytes(rng.randrange(64)))
            for _ in range(BATCH)
        )


def preface_in_clear() -> Play:
    yield PREFACE + frame(SETTINGS, 0, 0)
    yield FOREVER


def slow_client_hello() -> Play:
    """Send the beginning of a TLS handshake (RFC 8446 section 5.1), one byte per second."""
    for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(500):
        yield bytes((byte,))
        yield 1.0


def stalled_client_hello() -> Play:
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
    yield FOREVER


def big_client_hello() -> Play:
    """Send a third of the longest ClientHello that TLS libraries accept, without its end: records of 16,384 bytes."""
    yield b"\x16\x03\x01\x40\x00\x01\x01\xff\xff\x03\x03" + bytes(16_378)
    yield (b"\x16\x03\x01\x40\x00" + bytes(16_384)) * 2
    yield FOREVER


def opened(play: Play) -> Play:
    """Start after the beginning of an HTTP/2 connection."""
    yield PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0)
    yield from play


def called(play: Play, token: str) -> Play:
    """Start after the beginning of call number 1, on which Hello would be the first message."""
    return opened(_chain(frame(HEADERS, END_HEADERS, 1, request_block("localhost", PATH, token, tls=not token)), play))


def _chain(first: bytes, play: Play) -> Play:
    yield first
    yield from play
