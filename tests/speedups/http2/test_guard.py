"""Every limit of the guard: one less, exactly it, and one more. Attacks end with GOAWAY before grpclib sees them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _speedups.http2.limits import Buckets, ConnectionLimits, rates
from proto.messages import Accepted, CommandMessage
from tests.speedups.http2.kit import (
    CONTINUATION,
    DATA,
    HEADERS,
    HEADERS_OF_A_CALL,
    PING,
    PRIORITY,
    RST,
    SETTINGS,
    WINDOW_UPDATE,
    Rig,
    attached,
    block,
    both,
    frame,
    grpc,
    opening,
    rig,
)

CALM, PROTOCOL, FRAME_SIZE = 11, 1, 6
ACCEPTED = bytes(CommandMessage(accepted=Accepted("a", 1)))
LOOSE = dict(frames_per_second=100_000, messages_per_second=100_000)


def ended(made: Rig) -> tuple[int, str] | None:
    """Code and reason of the end that the guard made; None while the connection lives."""
    if not made.conn.closed:
        return None
    told = made.goaway()
    assert told is not None, made.gone
    assert made.gone == [f"guard: {told[1].decode()}"]
    assert made.rows[-1] == (7, -1, made.gone[0])
    return told[0], told[1].decode()


FLOODS: dict[str, tuple[dict[str, int], Callable[[int], bytes], int, float]] = {
    # name → (limits, frame number n, frames of that type that were sent to get there, seconds until one more fits)
    "flood of settings": ({"settings_per_second": 10}, lambda n: frame(SETTINGS), 2, 0.1),
    "flood of pings": ({"pings_per_minute": 10}, lambda n: frame(PING, 0, 0, bytes(8)), 0, 6.0),
    "flood of priorities": ({"priorities_per_second": 10}, lambda n: frame(PRIORITY, 0, 2 * n + 11, bytes(5)), 0, 0.1),
    "flood of window updates": (
        {"window_updates_per_second": 10},
        lambda n: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        0,
        0.1,
    ),
    "flood of resets": ({"resets_per_minute": 10}, lambda n: frame(RST, 0, 2 * n + 3, bytes(4)), 0, 6.0),
    "flood of empty data": ({"empty_data_per_second": 10}, lambda n: frame(DATA, 0, 1), 0, 0.1),
    "flood of frames": ({"frames_per_second": 10}, lambda n: frame(0xFA, 0, n, b"?"), 3, 0.1),
    "flood of messages": ({"messages_per_second": 10}, lambda n: frame(DATA, 0, 1, grpc(ACCEPTED)), 0, 0.1),
}


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_refused_at_its_limit(impl: ModuleType, name: str, more: int) -> None:
    limits, make, used, _ = FLOODS[name]
    with attached(impl, limits=ConnectionLimits(**limits)) as r:
        if name == "flood of resets":
            calls = b"".join(frame(HEADERS, 4, 2 * n + 3, block()) + make(n) for n in range(10 + more))
            r.give(calls)
        else:
            r.give(b"".join(make(n) for n in range(10 - used + more)))
        assert ended(r) == ((CALM, name) if more > 0 else None)


@both
@pytest.mark.parametrize("name", [name for name in FLOODS if name != "flood of resets"])
def test_allowances_refill_with_time(impl: ModuleType, name: str) -> None:
    limits, make, used, wait = FLOODS[name]
    with attached(impl, limits=ConnectionLimits(**limits)) as r:
        r.give(b"".join(make(n) for n in range(10 - used)))
        r.now += wait + 0.001
        r.give(make(20))
        assert ended(r) is None
        r.give(make(21))
        assert ended(r) == (CALM, name)


@both
def test_refused_bytes_are_not_given_to_grpclib(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(pings_per_minute=10)) as r:
        r.protocol.fed.clear()
        r.give(frame(PING, 0, 0, bytes(8)) * 1_000)
        assert len(b"".join(r.protocol.fed)) <= 10 * 17


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_resets_provoked_by_the_client_are_counted(impl: ModuleType, more: int) -> None:
    """MadeYouReset: each stream gets a window increment that overflows, which h2 answers with a reset of its own."""
    overflow = struct.pack(">I", (1 << 31) - 1)
    with attached(impl, limits=ConnectionLimits(resets_per_minute=10)) as r:
        for n in range(10 + more):
            r.give(frame(HEADERS, 4, 2 * n + 3, block()) + frame(WINDOW_UPDATE, 0, 2 * n + 3, overflow))
        assert ended(r) == ((CALM, "flood of resets sent") if more > 0 else None)


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_concurrent_streams_are_limited(impl: ModuleType, more: int) -> None:
    with attached(impl, limits=ConnectionLimits(streams=4)) as r:
        r.give(b"".join(frame(HEADERS, 4, 2 * n + 3, block()) for n in range(3 + more)))
        assert ended(r) == ((PROTOCOL, "more than 4 streams at once") if more > 0 else None)


@both
def test_consecutive_streams_are_not_concurrent(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(streams=4)) as r:
        for n in range(15):
            r.give(frame(HEADERS, 4, 2 * n + 3, block()) + frame(RST, 0, 2 * n + 3, bytes(4)))
        assert ended(r) is None
        assert len(r.handler.streams) == 16


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_continuations_of_a_header_block_are_limited(impl: ModuleType, more: int) -> None:
    data = block()
    with attached(impl, limits=ConnectionLimits(continuations=8)) as r:
        pieces = [frame(CONTINUATION, 0, 3, data[n : n + 1]) for n in range(1, 8 + more)]
        r.give(frame(HEADERS, 0, 3, data[:1]) + b"".join(pieces) + frame(CONTINUATION, 4, 3, data[8 + more :]))
        assert ended(r) == ((CALM, "flood of continuations") if more > 0 else None)
        assert (3 in r.handler.streams) is (more <= 0)


@both
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_size_of_a_header_block_is_limited(impl: ModuleType, more: int, split: bool) -> None:
    data = block() + block([("x-more", "more than the first call had")])
    limit = len(data) - more
    with attached(impl, limits=ConnectionLimits(header_block=limit)) as r:
        cut = frame(HEADERS, 0, 3, data[:50]) + frame(CONTINUATION, 4, 3, data[50:])
        r.give(cut if split else frame(HEADERS, 4, 3, data))
        assert ended(r) == ((CALM, "header block too large") if more > 0 else None)


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_size_of_a_header_list_is_limited(impl: ModuleType, more: int) -> None:
    """Names, values, and 32 bytes for each pair (RFC 9113 section 10.5.1)."""
    size = sum(len(name) + len(value) + 32 for name, value in HEADERS_OF_A_CALL)
    extra = [(f"x-{number}", "v" * 100) for number in range(5)]
    size += sum(len(name) + len(value) + 32 for name, value in extra)
    with attached(impl, limits=ConnectionLimits(header_list=1_150)) as r:
        last = ("x-last", "v" * (1_150 + more - size - 38))
        assert len(last[1]) < 127
        r.give(frame(HEADERS, 4, 3, block([*HEADERS_OF_A_CALL, *extra, last])))
        assert r.conn.closed is (more > 0)
        assert (3 in r.handler.streams) is (more <= 0)


@both
def test_a_header_block_that_grows_when_it_is_decompressed_is_refused(impl: ModuleType) -> None:
    """An HPACK bomb: one long value put into the decoder's table, then named again and again with one byte each."""
    value = b"\x40\x01a\x7f" + bytes((4_000 - 127 & 0x7F | 0x80, 4_000 - 127 >> 7)) + b"v" * 4_000
    with attached(impl) as r:
        r.give(frame(HEADERS, 4, 3, block() + value + b"\xbe" * 3_000))
        assert r.conn.closed
        assert r.goaway() == (CALM, b"")
        assert 3 not in r.handler.streams


@both
@pytest.mark.parametrize("size", [16_383, 16_384, 16_385])
@pytest.mark.parametrize("kind", [DATA, HEADERS, SETTINGS, PING, 0xFA])
def test_the_length_of_a_frame_is_judged_by_its_header(impl: ModuleType, kind: int, size: int) -> None:
    with attached(impl) as r:
        r.give(frame(kind, 0, 1, bytes(size))[:9])
        refused = (FRAME_SIZE, "frame of 16385 bytes, the limit is 16384")
        assert ended(r) == (refused if size > 16_384 else None)


@both
@pytest.mark.parametrize(("length", "refused"), [(99, False), (100, False), (101, True), ((1 << 32) - 1, True)])
@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_message_length_beyond_the_limit_is_refused_at_its_prefix_on_any_stream(
    impl: ModuleType, length: int, refused: bool, cut: int
) -> None:
    with attached(impl, limits=ConnectionLimits(max_message=100)) as r:
        data = grpc(b"x" * 50) + struct.pack(">BI", 0, length)
        r.give(frame(HEADERS, 4, 3, block()) + frame(DATA, 0, 3, data[: 55 + cut]))
        r.give(frame(DATA, 8, 3, b"\x02" + data[55 + cut :] + b"\0\0"))
        assert ended(r) == ((CALM, f"message of {length} bytes, the limit is 100") if refused else None)


@both
def test_message_lengths_are_tracked_per_stream_until_its_end(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(max_message=100)) as r:
        for n in range(40):
            stream = 2 * n + 3
            r.give(frame(HEADERS, 4, stream, block()) + frame(DATA, 0, stream, grpc(b"y" * 90)[:30]))
            r.give(frame(DATA, 1, stream, grpc(b"y" * 90)[30:]))
            r.handler.release[stream]()
            r.h2.send_headers(stream, [(":status", "200")], end_stream=True)
            r.conn.write(r.h2.data_to_send())
            r.now += 1.0
        assert ended(r) is None


@both
def test_a_client_that_does_not_read_is_cut_off_when_the_queue_is_full(impl: ModuleType) -> None:
    with attached(
        impl,
        limits=ConnectionLimits(settings_per_second=1_000_000, frames_per_second=1_000_000, write_queue_bytes=10_000),
    ) as r:
        data = frame(SETTINGS) * 10_000
        for _ in range(200):
            r.give(data)
            if r.conn.closed:
                break
        assert r.gone == ["write queue full"]
        assert r.rows == [(7, -1, "write queue full")]


@pytest.mark.parametrize(
    "name", [field for field in ConnectionLimits.__dataclass_fields__ if field not in ("max_frame",)]
)
def test_a_limit_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: must be more than 0"):
        ConnectionLimits(**{name: 0})


@pytest.mark.parametrize("size", [16_383, 1 << 24])
def test_the_limit_of_a_frame_must_be_one_that_http2_allows(size: int) -> None:
    with pytest.raises(ValueError, match=r"^max_frame: must be 16384 to 16777215"):
        ConnectionLimits(max_frame=size)


def test_a_message_longer_than_its_own_length_field_cannot_be_allowed() -> None:
    with pytest.raises(ValueError, match=r"^max_message: must be less than 2\^31"):
        ConnectionLimits(max_message=1 << 31)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(waits: list[float]) -> None:
    buckets, now, given_out = Buckets(rates(ConnectionLimits(settings_per_second=5))), 0.0, 0
    for wait in waits:
        now += wait
        given_out += buckets.take("settings", now)
        assert given_out <= 5 + 5 * now + 1e-6


@both
def test_the_guard_does_not_hold_back_an_ordinary_session(impl: ModuleType) -> None:
    with rig(impl) as r:
        r.give(opening())
        r.conn.attach(1, 7)
        for _ in range(120):
            r.now += 1.0
            r.give(frame(DATA, 0, 1, grpc(ACCEPTED)) * 500)
            r.take()
        assert len(r.rows) == 60_000
        assert not r.conn.closed
