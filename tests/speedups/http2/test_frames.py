"""The frame splitter: bytes may come in any pieces, grpclib gets whole frames, the attached stream's DATA becomes
rows."""

from __future__ import annotations

from types import ModuleType

import pytest

from _speedups.http2.limits import ConnectionLimits
from proto.messages import Accepted, CommandMessage, Heartbeat, Hello, Rejected, Started
from tests.speedups.http2.kit import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    attached,
    block,
    both,
    frame,
    frames,
    grpc,
    opening,
    rig,
)

pytestmark = both

ACCEPTED = bytes(CommandMessage(accepted=Accepted("a", 1)))
STARTED = bytes(CommandMessage(started=Started("b", 2, 3, 4)))
BEAT = bytes(CommandMessage(heartbeat=Heartbeat(9, True, 1)))
ROWS = [(7, 5, "a", 1), (7, 7, "b", 2, 3, 4), (7, 12, 9, True, 1)]
MANY = ConnectionLimits(frames_per_second=100_000, messages_per_second=100_000)


def test_frames_cut_at_every_place_give_the_same_rows(impl: ModuleType) -> None:
    messages = grpc(ACCEPTED) + grpc(STARTED) + grpc(BEAT)
    data = (
        frame(DATA, 0, 1, messages[:20])
        + frame(PING, 0, 0, b"12345678")
        + frame(DATA, 8, 1, b"\x03" + messages[20:] + bytes(3))
    )
    for cut in range(len(data) + 1):
        with attached(impl) as r:
            assert r.give(data[:cut]) + r.give(data[cut:]) == ROWS
            assert [kind for kind, *_ in frames(r.take())] == [PING]


def test_a_connection_is_read_byte_by_byte(impl: ModuleType) -> None:
    with rig(impl, limits=MANY) as r:
        for byte in opening():
            r.give(bytes((byte,)))
        assert list(r.handler.streams) == [1]
        r.conn.attach(1, 7)
        for byte in frame(DATA, 0, 1, grpc(ACCEPTED) + grpc(STARTED)):
            r.give(bytes((byte,)))
        assert r.rows == ROWS[:2]


def test_grpclib_gets_whole_frames_only_and_never_the_data_of_the_attached_stream(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.protocol.fed.clear()
        ping = frame(PING, 0, 0, b"12345678")
        data = ping + frame(DATA, 0, 1, grpc(ACCEPTED)) + ping
        for cut in range(0, len(data), 5):
            r.give(data[cut : cut + 5])
        assert r.protocol.fed == [ping, ping]
        assert r.rows == ROWS[:1]


def test_messages_may_be_cut_anywhere_over_frames(impl: ModuleType) -> None:
    messages = grpc(ACCEPTED) + grpc(STARTED) + grpc(BEAT)
    for size in range(1, len(messages) + 1):
        with attached(impl, limits=MANY) as r:
            pieces = [messages[at : at + size] for at in range(0, len(messages), size)]
            assert r.give(b"".join(frame(DATA, 0, 1, piece) for piece in pieces)) == ROWS


def test_an_empty_message_gives_no_row_and_the_next_one_is_found(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 0, 1, grpc(b"") * 3 + grpc(ACCEPTED))) == ROWS[:1]


@pytest.mark.parametrize("pad", [0, 1, 200, 255])
def test_padding_is_not_part_of_a_message(impl: ModuleType, pad: int) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 8, 1, bytes((pad,)) + grpc(ACCEPTED) + bytes(pad))) == ROWS[:1]


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05abcd", b"\xff" + bytes(254)])
def test_padding_as_long_as_its_frame_ends_the_connection(impl: ModuleType, payload: bytes) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 8, 1, payload)) == [(7, -1, "guard: padding longer than its frame")]
        assert r.goaway() == (1, b"padding longer than its frame")


def test_frames_of_unknown_types_are_dropped_before_grpclib_sees_them(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.protocol.fed.clear()
        ping = frame(PING, 0, 0, b"12345678")
        r.give(
            ping + frame(10, 0, 0, b"x") + frame(0xFA, 0xFF, 1, bytes(100)) + ping + frame(DATA, 0, 1, grpc(ACCEPTED))
        )
        assert b"".join(r.protocol.fed) == ping + ping
        assert r.rows == ROWS[:1]
        assert not r.conn.closed


def test_an_unknown_frame_in_the_middle_of_a_header_block_is_an_error(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(HEADERS, 0, 3, block()[:10]) + frame(0xFA, 0, 3, b"x"))
        assert r.goaway() == (1, b"header block interrupted")


def test_data_of_the_attached_stream_in_the_middle_of_a_header_block_is_an_error(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(HEADERS, 0, 3, block()[:10]) + frame(DATA, 0, 1, grpc(ACCEPTED))) == [
            (7, -1, "guard: header block interrupted")
        ]


def test_a_header_block_in_pieces_opens_its_stream(impl: ModuleType) -> None:
    with attached(impl) as r:
        data = block()
        r.give(
            frame(HEADERS, 0, 3, data[:10])
            + frame(CONTINUATION, 0, 3, data[10:20])
            + frame(CONTINUATION, 4, 3, data[20:])
        )
        assert list(r.handler.streams) == [1, 3]


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", PREFACE[:-1] + b"x"]
)
def test_a_client_that_is_not_http2_is_cut_off_at_its_first_wrong_byte(impl: ModuleType, junk: bytes) -> None:
    with rig(impl) as r:
        r.give(junk)
        assert r.gone == ["guard: no HTTP/2 preface"]
        assert r.protocol.fed == []


def test_the_first_frame_must_be_settings(impl: ModuleType) -> None:
    with rig(impl) as r:
        r.give(PREFACE + frame(HEADERS, 4, 1, block()))
        assert r.gone == ["guard: the first frame is not SETTINGS"]
        assert r.handler.streams == {}


def test_messages_without_a_fast_decoder_are_given_whole(impl: ModuleType) -> None:
    hello = bytes(CommandMessage(hello=Hello(host_id="h")))
    rejected = bytes(CommandMessage(rejected=Rejected("a", 1, "no", "slots")))
    newer = b"\xfa\x01\x02hi"  # member 31
    with attached(impl) as r:
        rows = r.give(b"".join(frame(DATA, 0, 1, grpc(message)) for message in (hello, rejected, newer)))
        assert rows == [(7, 3, hello), (7, 6, rejected), (7, 31, newer)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (grpc(b"\x2a\x05"), "malformed message: truncated field"),
        (grpc(ACCEPTED, flag=1), "compressed message, and no compression was agreed on"),
        (b"\x00\xff\xff\xff\xff", "message too large: 4294967295 bytes, the limit is 4194304"),
        (b"\x00\x00\x40\x00\x01", "message too large: 4194305 bytes, the limit is 4194304"),
    ],
)
def test_a_malformed_message_ends_its_session_and_not_the_connection(
    impl: ModuleType, message: bytes, reason: str
) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 0, 1, grpc(ACCEPTED) + message + grpc(STARTED))) == [ROWS[0], (7, 0, reason)]
        assert r.give(frame(DATA, 0, 1, grpc(STARTED))) == []
        assert not r.conn.closed
        r.give(frame(HEADERS, 4, 3, block()))
        r.conn.detach()
        r.conn.attach(3, 8)
        assert r.give(frame(DATA, 0, 3, grpc(BEAT))) == [(8, *ROWS[2][1:])]


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_the_limit_of_a_message_is_exact(impl: ModuleType, size: int, fits: bool) -> None:
    message = b"\xfa\x01" + bytes((size - 3,)) + bytes(size - 3)
    with attached(impl, limits=ConnectionLimits(max_message=100)) as r:
        rows = r.give(frame(DATA, 0, 1, grpc(message)))
        assert rows == [(7, 31, message) if fits else (7, 0, "message too large: 101 bytes, the limit is 100")]


def test_a_message_as_large_as_allowed_crosses_many_frames_and_windows(impl: ModuleType) -> None:
    message = b"\xfa\x01" + b"\xfa\xff\xff\x01" + bytes((4 << 20) - 6)
    data = grpc(message)
    with attached(impl) as r:
        for at in range(0, len(data), 16_384):
            r.give(frame(DATA, 0, 1, data[at : at + 16_384]))
        assert [(row[:2], len(row[2])) for row in r.rows] == [((7, 31), 4 << 20)]


def test_settings_and_pings_are_answered_by_grpclib_while_attached(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(SETTINGS) + frame(PING, 0, 0, b"abcdefgh"))
        assert frames(r.take()) == [(SETTINGS, 1, 0, b""), (PING, 1, 0, b"abcdefgh")]


def test_last_read_is_the_time_of_the_last_poll_that_read_data(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.now = 200.0
        r.give(b"\x00")
        r.now = 300.0
        r.turn()
        assert r.conn.last_read == 200.0
