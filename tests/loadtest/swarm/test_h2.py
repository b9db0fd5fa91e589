"""The HTTP/2 client alone: frames in, frames out, against the rules of RFC 9113, with hpack as reference."""

from __future__ import annotations

import struct

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from loadtest.swarm.protocol import h2
from loadtest.swarm.protocol.h2 import Broken, Call, frame, request_block

BLOCK = request_block("localhost:1", "/a.B/C", "secret", tls=False)
OK_HEADERS = Encoder().encode([(":status", "200"), ("content-type", "application/grpc")])


def fresh() -> Call:
    call = Call(BLOCK)
    call.out.clear()
    return call


def message(raw: bytes) -> bytes:
    return b"\0" + len(raw).to_bytes(4, "big") + raw


def sent(call: Call) -> list[tuple[int, int, int, bytes]]:
    """Return (kind, flags, stream, payload) of the frames to write."""
    raw, at, frames = bytes(call.out), 0, []
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 3], "big")
        frames.append(
            (raw[at + 3], raw[at + 4], int.from_bytes(raw[at + 5 : at + 9], "big"), raw[at + 9 : at + 9 + length])
        )
        at += 9 + length
    call.out.clear()
    return frames


def settings(**values: int) -> bytes:
    names = {"initial_window": 4, "max_frame": 5}
    return frame(h2.SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


@pytest.mark.parametrize("tls", [False, True])
def test_the_request_is_read_by_hpack_and_its_token_is_never_indexed(tls: bool) -> None:
    token = "t" * 300
    block = request_block("example:8441", "/clarion.v1.CommandService/ConnectForCommands", token, tls=tls)
    decoder = Decoder()
    headers = decoder.decode(block)
    assert [(name, value) for name, value in headers] == [
        (":method", "POST"),
        (":scheme", "https" if tls else "http"),
        (":path", "/clarion.v1.CommandService/ConnectForCommands"),
        (":authority", "example:8441"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("authorization", f"Bearer {token}"),
    ]
    assert not next(one for one in headers if one[0] == "authorization").indexable
    assert not decoder.header_table.dynamic_entries


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_messages_are_found_however_frames_and_reads_cut_them(messages: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(map(message, messages))
    stream = frame(h2.HEADERS, h2.END_HEADERS, 1, OK_HEADERS)
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        if data.draw(st.booleans()):
            pad = data.draw(st.integers(0, 20))
            stream += frame(h2.DATA, h2.PADDED, 1, bytes([pad]) + raw[:size] + bytes(pad))
        else:
            stream += frame(h2.DATA, 0, 1, raw[:size])
        stream += frame(0xBE, 3, 1, b"unknown")
        raw = raw[size:]
    call, found = fresh(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += call.receive(stream[:size])
        stream = stream[size:]
    assert found == messages
    assert not call.ended


def test_data_beyond_the_windows_is_sent_when_they_open() -> None:
    call = fresh()
    big = bytes(range(256)) * 1000
    call.send(big)
    call.send(b"after")
    first = sent(call)
    assert sum(len(payload) for *_, payload in first) == h2.DEFAULT_WINDOW
    assert max(len(payload) for *_, payload in first) == h2.DEFAULT_FRAME
    call.receive(frame(h2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 1 << 20)))
    assert sent(call) == []
    call.receive(frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 10)))
    second = sent(call)
    assert [len(payload) for *_, payload in second] == [10]
    call.receive(frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)))
    rest = sent(call)
    whole = b"".join(payload for *_, payload in first + second + rest)
    assert whole == message(big) + message(b"after")
    assert call.waiting == 0


def test_settings_change_the_window_of_the_stream_and_the_size_of_frames() -> None:
    call = fresh()
    call.receive(settings(initial_window=100))
    assert sent(call) == [(h2.SETTINGS, h2.ACK, 0, b"")]
    call.send(bytes(500))
    assert [len(payload) for *_, payload in sent(call)] == [100]
    call.receive(settings(initial_window=50))
    assert sent(call) == [(h2.SETTINGS, h2.ACK, 0, b"")]
    call.receive(frame(h2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 60)))
    assert [len(payload) for *_, payload in sent(call)] == [10]
    call.receive(
        settings(initial_window=1 << 20, max_frame=1 << 20) + frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20))
    )
    sent(call)
    call.send(bytes(60_000))
    assert [len(payload) for *_, payload in sent(call)] == [60_005]


def test_read_bytes_are_granted_again() -> None:
    call = fresh()
    for _ in range(200):
        call.receive(frame(h2.DATA, 0, 1, message(bytes(16_000))))
    granted = [
        (stream, int.from_bytes(payload, "big")) for kind, _, stream, payload in sent(call) if kind == h2.WINDOW_UPDATE
    ]
    for stream in (0, 1):
        assert sum(amount for where, amount in granted if where == stream) > 200 * 16_005 - h2.WINDOW // 2


def test_a_server_that_exceeds_the_window_is_detected() -> None:
    call = fresh()
    call._credit = 100
    with pytest.raises(Broken, match="window"):
        call.receive(frame(h2.DATA, 0, 1, bytes(101)))


def test_pings_are_answered_and_their_answers_are_not() -> None:
    call = fresh()
    call.receive(frame(h2.PING, 0, 0, b"12345678") + frame(h2.PING, h2.ACK, 0, b"87654321"))
    assert sent(call) == [(h2.PING, h2.ACK, 0, b"12345678")]


def test_trailers_end_the_call_with_their_status_after_the_messages_before_them() -> None:
    call = fresh()
    trailers = Encoder().encode([("grpc-status", "16"), ("grpc-message", "no such token")])
    half = len(trailers) // 2
    raw = frame(h2.HEADERS, h2.END_HEADERS, 1, OK_HEADERS) + frame(h2.DATA, 0, 1, message(b"last"))
    raw += frame(h2.HEADERS, h2.END_STREAM, 1, trailers[:half]) + frame(
        h2.CONTINUATION, h2.END_HEADERS, 1, trailers[half:]
    )
    assert call.receive(raw) == [b"last"]
    assert call.ended == "status 16: no such token"
    assert call.status == 16


def test_padded_headers_with_a_priority_are_read() -> None:
    call = fresh()
    flags = h2.END_HEADERS | h2.PADDED | h2.PRIORITISED
    call.receive(frame(h2.HEADERS, flags, 1, b"\x03" + bytes(5) + OK_HEADERS + bytes(3)))
    assert not call.ended


def test_a_reset_ends_the_call_and_a_graceful_goaway_does_not() -> None:
    call = fresh()
    call.receive(frame(h2.GOAWAY, 0, 0, struct.pack(">II", 1, 0)))
    assert call.going and not call.ended
    call.receive(frame(h2.RST_STREAM, 0, 1, struct.pack(">I", 8)))
    assert "reset" in call.ended
    other = fresh()
    other.receive(frame(h2.GOAWAY, 0, 0, struct.pack(">II", 1, 11)))
    assert "error 11" in other.ended


@pytest.mark.parametrize(
    "raw",
    [
        frame(h2.DATA, 0, 3, b"x"),
        frame(h2.DATA, h2.PADDED, 1, b"\x05abc"),
        frame(h2.DATA, 0, 1, b"\x01\0\0\0\x01x"),
        frame(h2.DATA, 0, 1, b"\0\xff\xff\xff\xff"),
        frame(h2.PING, 0, 0, b"short"),
        frame(h2.SETTINGS, 0, 0, b"12345"),
        settings(initial_window=1 << 31),
        settings(max_frame=100),
        frame(h2.WINDOW_UPDATE, 0, 0, bytes(4)),
        frame(h2.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        frame(h2.PUSH_PROMISE, 0, 1, b""),
        frame(h2.CONTINUATION, h2.END_HEADERS, 1, b""),
        frame(h2.HEADERS, 0, 1, OK_HEADERS) + frame(h2.DATA, 0, 1, b""),
        frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        frame(h2.HEADERS, h2.END_HEADERS, 1, Encoder().encode([(":status", "404")])),
        b"\xff\xff\xff\0\0\0\0\0\1",
    ],
)
def test_protocol_errors_are_refused(raw: bytes) -> None:
    with pytest.raises(Broken):
        fresh().receive(raw)
