"""Pings of gRPC libraries under load stay within the limits, and a flood of pings does not."""

from __future__ import annotations

from types import ModuleType

import pytest

from _speedups.http2.guard import MAX_SAVED_PROBES
from _speedups.http2.limits import ConnectionLimits
from tests.speedups.http2.kit import DATA, PING, attached, both, frame, grpc
from tests.speedups.http2.test_guard import CALM, LOOSE, ended

PROBE = frame(PING, 0, 0, bytes(8))
FEW = {"pings_per_minute": 2, **LOOSE}


@both
def test_a_ping_may_follow_each_data_frame_that_was_sent(impl: ModuleType) -> None:
    """As with a library that measures the bandwidth: it sends one after DATA, and waits for its answer before the
    next."""
    with attached(impl, limits=ConnectionLimits(**FEW)) as r:
        r.give(PROBE * 2)
        for _ in range(60):
            r.conn.send([b"x" * 10])
            r.give(PROBE)
        assert ended(r) is None
        r.give(PROBE)
        assert ended(r) == (CALM, "flood of pings"), "nothing was sent since the last one"


@both
@pytest.mark.parametrize("more", [0, 1])
def test_the_saved_allowance_of_pings_is_bounded(impl: ModuleType, more: int) -> None:
    with attached(impl, limits=ConnectionLimits(probes_per_second=10_000, **FEW)) as r:
        for _ in range(3 * MAX_SAVED_PROBES):
            r.conn.send([b"x"])
        r.give(PROBE * (2 + MAX_SAVED_PROBES + 1 + more))
        assert r.gone == (["guard: flood of pings"] if more else [])


@both
@pytest.mark.parametrize("more", [0, 1])
def test_probes_have_a_rate_of_their_own(impl: ModuleType, more: int) -> None:
    with attached(impl, limits=ConnectionLimits(probes_per_second=10, **FEW)) as r:
        for _ in range(50):
            r.conn.send([b"x"])
        r.give(PROBE * (12 + more))
        assert ended(r) == ((CALM, "flood of pings") if more else None)
        if not more:
            r.now += 1.0
            r.give(PROBE * 10)
            assert ended(r) is None


@both
@pytest.mark.parametrize(("size", "cost"), [(16_384, 0.1), (8_192, 0.55), (0, 1.0)])
def test_fuller_data_frames_of_a_session_cost_less(impl: ModuleType, size: int, cost: float) -> None:
    allowed = int(200 / cost)
    with attached(impl, limits=ConnectionLimits(frames_per_second=200, empty_data_per_second=10_000)) as r:
        used = 10  # what the beginning of the connection has cost, at most
        message = grpc(b"\x9a\x06" + b"\x80\x80\x08" + bytes(131_072))  # a field that is not known
        sent = frames = 0
        while frames < allowed - used / cost:
            piece = bytes(0) if not size else (message * 2)[sent % len(message) : sent % len(message) + size]
            r.give(frame(DATA, 0, 1, piece))
            sent, frames = sent + size, frames + 1
        assert ended(r) is None, f"{frames} frames of {size} bytes"
        for _ in range(int(2 * used / cost) + 2):
            r.give(
                frame(
                    DATA,
                    0,
                    1,
                    bytes(0) if not size else (message * 2)[sent % len(message) : sent % len(message) + size],
                )
            )
            sent += size
        assert ended(r) == (CALM, "flood of frames")
