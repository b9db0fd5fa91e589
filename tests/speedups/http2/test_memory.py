"""Bytes held for connections without a session have one limit over all; at the limit the oldest is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from _speedups.http2.limits import ConnectionLimits
from _speedups.http2.memory import PreSessionMemory
from proto.messages import Accepted, CommandMessage
from tests.speedups.http2.kit import DATA, HEADERS, RST, Rig, block, both, frame, grpc, opening, part

ACCEPTED = bytes(CommandMessage(accepted=Accepted("a", 1)))
HELLO = 1 << 20
"""Bytes of a Hello, as far as these tests go."""


@contextmanager
def guests(impl: ModuleType, count: int, limit: int = 100_000, attach: bool = True) -> Iterator[list[Rig]]:
    """Connections of one hub whose call has begun, with the lane waiting for their Hello, if not grpclib."""
    poller = part(impl, "http2.poller").Poller(ConnectionLimits(waiting_bytes=limit))
    rigs = [Rig(impl, limits=poller.limits, poller=poller) for _ in range(count)]
    for number, r in enumerate(rigs, 1):
        r.give(opening())
        if attach:
            r.conn.attach(1, number, b"", HELLO)
    try:
        yield rigs
    finally:
        for r in rigs:
            r.close()
        poller.close()


def data_of(size: int, stream: int = 1) -> bytes:
    """The first so many bytes of a long message, in frames."""
    message = b"\0" + HELLO.to_bytes(4, "big") + bytes(size - 5)
    return b"".join(frame(DATA, 0, stream, message[at : at + 16_000]) for at in range(0, size, 16_000))


def more(size: int, stream: int = 1) -> bytes:
    return frame(DATA, 0, stream, bytes(size))


def waiting(r: Rig) -> int:
    found: int = r.poller.statistics()["waiting_bytes"]
    return found


@both
@pytest.mark.parametrize("attach", [True, False], ids=["lane", "grpclib"])
@pytest.mark.parametrize(("over", "cut"), [(-1, 0), (0, 0), (1, 1)])
def test_the_total_limit_is_exact_and_the_oldest_connection_is_dropped(
    impl: ModuleType, attach: bool, over: int, cut: int
) -> None:
    with guests(impl, 2, attach=attach) as (first, second):
        second.give(data_of(60_000))
        first.give(data_of(40_000 + over))
        assert waiting(first) == (40_001 if cut else 100_000 + over)
        assert (first.conn.closed, second.conn.closed) == (False, bool(cut))
        if cut:
            assert second.goaway() == (11, b"crowded out: more than 100000 bytes are held for all that have no session")


@both
def test_a_connection_below_its_share_is_never_dropped(impl: ModuleType) -> None:
    with guests(impl, 4) as rigs:
        for r in rigs[:3]:
            r.give(data_of(10))
        rigs[3].give(data_of(99_970))
        assert [r.conn.closed for r in rigs] == [False] * 4
        rigs[0].give(more(1))
        assert [r.conn.closed for r in rigs] == [False, False, False, True]
        assert waiting(rigs[0]) == 31


@both
def test_a_complete_hello_is_no_longer_counted(impl: ModuleType) -> None:
    with guests(impl, 1) as (r,):
        hello = grpc(ACCEPTED * 50)
        r.give(frame(DATA, 0, 1, hello[:60]))
        assert waiting(r) == 60
        assert len(r.give(frame(DATA, 0, 1, hello[60:]))) == 1
        assert waiting(r) == 0


@both
def test_the_messages_of_a_session_are_not_counted_but_its_other_calls_are(impl: ModuleType) -> None:
    with guests(impl, 1) as (r,):
        r.give(frame(DATA, 0, 1, grpc(ACCEPTED)) + data_of(90_000))
        assert waiting(r) == 0
        r.give(frame(HEADERS, 4, 3, block()) + data_of(99_000, 3))
        assert waiting(r) == 99_000
        r.give(more(1_001, 3))
        assert r.conn.closed and r.goaway() is not None


@both
@pytest.mark.parametrize("end", [frame(RST, 0, 1, bytes(4)), frame(DATA, 1, 1, b"")], ids=["reset", "ended"])
def test_an_ended_call_counts_nothing(impl: ModuleType, end: bytes) -> None:
    with guests(impl, 1, attach=False) as (r,):
        r.give(data_of(50_000))
        assert waiting(r) == 50_000
        r.give(end)
        assert waiting(r) == 0


@both
def test_an_attached_call_and_a_closed_connection_count_nothing(impl: ModuleType) -> None:
    with guests(impl, 2, attach=False) as (first, second):
        first.give(data_of(50_000))
        second.give(data_of(40_000))
        assert waiting(first) == 90_000
        first.conn.attach(1, 7, b"")
        assert waiting(first) == 40_000
        second.conn.abort()
        assert waiting(first) == 0


@both
def test_partial_frames_and_header_blocks_are_counted(impl: ModuleType) -> None:
    with guests(impl, 1, attach=False) as (r,):
        r.give(data_of(1_000)[:-1])
        assert waiting(r) == 9 + 999
    with guests(impl, 1, attach=False) as (r,):
        r.give(frame(HEADERS, 0, 3, block()))
        assert waiting(r) == len(block())


def test_the_oldest_connection_that_is_large_enough_is_dropped() -> None:
    held = PreSessionMemory(100)
    for conn, size in (("a", 10), ("b", 40), ("c", 50)):
        held.record(conn, size)
    assert held.connection_to_drop() is None
    held.record("d", 1)
    assert (held.total, held.connection_to_drop()) == (101, "b")
    held.record("b", 0)
    assert (held.total, held.connection_to_drop()) == (61, None)
    held.record("b", 40)
    assert held.connection_to_drop() == "c", "who holds something again waits since then"
