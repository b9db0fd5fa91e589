"""Slow peers, and peers that send too much before their session: below, at and above each limit."""

from __future__ import annotations

from types import ModuleType

import pytest

from _speedups.http2.limits import ConnectionLimits
from tests.speedups.http2.kit import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    Rig,
    attached,
    block,
    both,
    frame,
    grpc,
    opening,
    rig,
)

CALM = 11


def ended(made: Rig) -> tuple[int, bytes] | None:
    return made.goaway() if made.conn.closed else None


def pass_time(made: Rig, seconds: float) -> None:
    """A pulse of the owner that many seconds later."""
    made.now += seconds
    made.poller.overdue(made.now)
    made.turn()


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_consecutive_streams_are_counted_per_minute(impl: ModuleType, more: int) -> None:
    with attached(impl, limits=ConnectionLimits(streams_per_minute=10, resets_per_minute=100)) as r:
        # the attached one was the first
        for n in range(9 + more):
            r.give(frame(HEADERS, 5, 2 * n + 3, block()))
            if not r.conn.closed:
                r.h2.send_headers(2 * n + 3, [(":status", "200")], end_stream=True)
        assert ended(r) == ((CALM, b"flood of streams") if more > 0 else None)


@both
def test_a_stream_is_allowed_again_after_part_of_the_minute(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(streams_per_minute=2, streams=10)) as r:
        r.give(frame(HEADERS, 4, 3, block()))
        r.now += 30.001
        r.give(frame(HEADERS, 4, 5, block()))
        assert ended(r) is None
        r.give(frame(HEADERS, 4, 7, block()))
        assert ended(r) == (CALM, b"flood of streams")


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_bytes_before_a_hello_are_counted_over_all_streams(impl: ModuleType, more: int) -> None:
    with rig(impl, limits=ConnectionLimits(hello_bytes=1_000)) as r:
        r.give(opening() + frame(DATA, 0, 1, grpc(b"x" * 495)))
        r.give(frame(HEADERS, 4, 3, block()) + frame(DATA, 0, 3, grpc(b"x" * (495 + more))))
        assert ended(r) == ((CALM, b"flood of bytes before hello") if more > 0 else None)


@both
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_message_before_hello_is_refused_by_its_length_alone(impl: ModuleType, more: int) -> None:
    with rig(impl, limits=ConnectionLimits(hello_bytes=1_000)) as r:
        r.give(opening() + frame(DATA, 0, 1, b"\0" + (1_000 + more).to_bytes(4, "big")))
        assert ended(r) == ((CALM, b"message of 1001 bytes, the limit is 1000") if more > 0 else None)


@both
def test_an_attached_stream_may_exceed_the_limit_of_a_hello(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(hello_bytes=1_000)) as r:
        r.give(frame(DATA, 0, 1, grpc(b"\x7a" + b"\x7f" + b"x" * 127)) * 50)
        assert ended(r) is None and len(r.rows) == 50


@both
@pytest.mark.parametrize(("after", "cut"), [(4.9, False), (5.0, False), (5.1, True)])
@pytest.mark.parametrize("drip", [False, True])
def test_a_header_block_must_end_in_time(impl: ModuleType, after: float, cut: bool, drip: bool) -> None:
    with attached(impl) as r:
        r.give(frame(HEADERS, 0, 3, block()[:10]))
        pass_time(r, 2.0)
        if drip:
            r.give(frame(CONTINUATION, 0, 3, block()[10:11]))
        pass_time(r, after - 2.0)
        assert ended(r) == ((CALM, b"header block not ended within 5 s") if cut else None)


@both
def test_a_complete_header_block_has_no_deadline(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(HEADERS, 0, 3, block()[:10]))
        r.give(frame(CONTINUATION, 4, 3, block()[10:]))
        pass_time(r, 1_000.0)
        assert ended(r) is None


@both
@pytest.mark.parametrize(("after", "cut"), [(29.9, False), (30.0, False), (30.1, True)])
@pytest.mark.parametrize("kind", [DATA, HEADERS, PING, 0xFA])
def test_a_frame_must_end_in_time_even_if_it_arrives_slowly(
    impl: ModuleType, kind: int, after: float, cut: bool
) -> None:
    with attached(impl) as r:
        whole = frame(kind, 0, 1, bytes(100))
        r.give(whole[:9])
        for n in range(9, 12):
            pass_time(r, 1.0)
            r.give(whole[n : n + 1])
        pass_time(r, after - 3.0)
        assert ended(r) == ((CALM, b"frame not ended within 30 s") if cut else None)


@both
def test_each_frame_has_the_whole_time(impl: ModuleType) -> None:
    with attached(impl) as r:
        whole = frame(0xFA, 0, 1, bytes(100))
        for _ in range(5):
            r.give(whole[:20])
            pass_time(r, 20.0)
            r.give(whole[20:])
        pass_time(r, 1_000.0)
        assert ended(r) is None


@both
def test_a_closed_connection_is_not_checked_any_more(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(DATA, 0, 1, bytes(100))[:20])
        r.peer.close()
        r.turn()
        pass_time(r, 1_000.0)
        assert r.gone == ["eof"]
