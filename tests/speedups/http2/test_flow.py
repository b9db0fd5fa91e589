"""Flow control in both directions, against a real HTTP/2 client that keeps its own books (RFC 9113 section 5.2)."""

from __future__ import annotations

import struct
from types import ModuleType

import pytest
from h2.events import DataReceived, SettingsAcknowledged, WindowUpdated

from _speedups.http2.limits import ConnectionLimits
from proto.messages import Accepted, CommandMessage
from tests.speedups.http2.kit import (
    DATA,
    HEADERS,
    SETTINGS,
    WINDOW_UPDATE,
    Rig,
    attached,
    block,
    both,
    client,
    frame,
    frames,
    grpc,
    rig,
    talk,
)

pytestmark = both

ACCEPTED = bytes(CommandMessage(accepted=Accepted("a", 1)))
MANY = ConnectionLimits(frames_per_second=100_000, messages_per_second=100_000, window_updates_per_second=100_000)
WINDOW = 100_000


def updates(made: Rig) -> list[tuple[int, int]]:
    """(stream, increment) of each WINDOW_UPDATE sent since the last look."""
    return [
        (stream, int.from_bytes(payload, "big"))
        for kind, _, stream, payload in frames(made.take())
        if kind == WINDOW_UPDATE
    ]


# --- in
# ----------------------------------------------------------------------------------------------------------------------


def test_a_client_can_send_many_times_its_windows(impl: ModuleType) -> None:
    with rig(impl, limits=MANY, window=WINDOW) as r:
        peer = client(r)
        message = b"\xfa\x01" + b"\xf0\x4e" + bytes(10_096)
        for _ in range(200):
            data = grpc(message)
            assert peer.local_flow_control_window(1) >= len(data), "the windows were not given back"
            peer.send_data(1, data)
            talk(r, peer)
        assert r.rows == [(7, 31, message)] * 200


@pytest.mark.parametrize("pad", [0, 255])
def test_windows_are_reopened_at_half_and_padding_counts(impl: ModuleType, pad: int) -> None:
    with attached(impl, limits=MANY, window=WINDOW) as r:
        data = frame(DATA, 8, 1, bytes((pad,)) + grpc(b"\xfa\x01\xe2\x07" + bytes(994)) + bytes(pad))
        size = len(data) - 9
        sent = 0
        while sent + size < WINDOW // 2:
            r.give(data)
            sent += size
            assert updates(r) == []
        r.give(data)
        assert updates(r) == [(0, sent + size), (1, sent + size)]


HUGE = ConnectionLimits(frames_per_second=100_000, messages_per_second=100_000, max_frame=1 << 20)
"""Frames larger than half a window, without which an honest window cannot be exceeded by one byte."""


@pytest.mark.parametrize("wider", ["connection", "stream"])
@pytest.mark.parametrize(("over", "refused"), [(-1, False), (0, False), (1, True)])
def test_the_smaller_window_is_exact(impl: ModuleType, over: int, refused: bool, wider: str) -> None:
    with attached(impl, limits=HUGE, window=WINDOW) as r:
        r.h2.increment_flow_control_window(1_000_000, None if wider == "connection" else 1)
        r.give(frame(DATA, 0, 1, bytes(WINDOW + over)))
        assert r.conn.closed is refused
        if refused:
            assert r.goaway() == (3, b"flow control: the window was exceeded")
            assert r.gone == ["guard: flow control: the window was exceeded"]


@pytest.mark.parametrize(("over", "refused"), [(0, False), (1, True)])
def test_consumed_bytes_without_an_update_are_missing_from_the_window(
    impl: ModuleType, over: int, refused: bool
) -> None:
    with attached(impl, limits=HUGE, window=WINDOW) as r:
        r.give(frame(DATA, 0, 1, bytes(30_000)))
        assert updates(r) == []
        r.give(frame(DATA, 0, 1, bytes(70_000 + over)))
        assert r.conn.closed is refused


@pytest.mark.parametrize(("over", "refused"), [(0, False), (1, True)])
def test_other_streams_share_the_connections_window_with_the_fast_path(
    impl: ModuleType, over: int, refused: bool
) -> None:
    with attached(impl, limits=HUGE, window=WINDOW) as r:
        r.h2.max_inbound_frame_size = r.h2.incoming_buffer.max_frame_size = 1 << 20
        r.give(frame(HEADERS, 4, 3, block()) + frame(DATA, 0, 1, bytes(30_000)))
        r.give(frame(DATA, 0, 3, bytes(70_000 + over)))
        assert r.conn.closed is refused


def test_h2_keeps_its_own_view_and_both_agree_after_detaching(impl: ModuleType) -> None:
    with attached(impl, limits=MANY, window=WINDOW) as r:
        r.give(frame(DATA, 0, 1, bytes(10_000)))
        assert r.h2.inbound_flow_control_window == WINDOW
        assert updates(r) == []
        r.conn.detach()
        assert updates(r) == [(0, 10_000), (1, 10_000)]
        r.give(frame(DATA, 0, 1, bytes(5_000)))
        assert r.h2.inbound_flow_control_window == WINDOW - 5_000


def test_a_large_hello_read_by_grpclib_does_not_stall_the_fast_path(impl: ModuleType) -> None:
    with rig(impl, limits=MANY, window=WINDOW) as r:
        peer = client(r)
        r.conn.detach()
        peer.send_data(1, grpc(bytes(16_000)))
        peer.send_data(1, bytes(16_000))
        talk(r, peer)
        r.conn.attach(1, 9)
        for _ in range(100):
            peer.send_data(1, grpc(b"\xfa\x01\xf0\x4e" + bytes(9_996 + 4)))
            talk(r, peer)


# --- out
# ---------------------------------------------------------------------------------------------------------------------


def received(r: Rig, peer: object, acknowledge: bool = True) -> bytes:
    data = b""
    for event in talk(r, peer):  # type: ignore[arg-type]
        if isinstance(event, DataReceived):
            data += event.data
            if acknowledge:
                peer.acknowledge_received_data(event.flow_controlled_length, 1)  # type: ignore[attr-defined]
    return data


def test_messages_arrive_whole_and_in_order_however_small_the_clients_window(impl: ModuleType) -> None:
    with rig(impl, limits=MANY) as r:
        peer = client(r, INITIAL_WINDOW_SIZE=1_000)
        messages = [bytes((number,)) * (number * 37) for number in range(200)]
        r.conn.send(messages)
        data = b""
        while more := received(r, peer):
            data += more
        assert data == b"".join(map(grpc, messages))
        assert r.conn.queued_bytes == 0
        assert r.h2.outbound_flow_control_window == peer.inbound_flow_control_window


def test_data_beyond_the_clients_window_is_sent_when_it_opens(impl: ModuleType) -> None:
    with rig(impl) as r:
        peer = client(r, INITIAL_WINDOW_SIZE=100)
        r.conn.send([b"x" * 200])
        assert len(received(r, peer, acknowledge=False)) == 100
        assert r.conn.queued_bytes == 105
        assert r.h2.streams[1].outbound_flow_control_window == 0
        peer.increment_flow_control_window(5, 1)
        assert len(received(r, peer, acknowledge=False)) == 5
        peer.increment_flow_control_window(1_000, 1)
        assert len(received(r, peer, acknowledge=False)) == 100
        assert r.conn.queued_bytes == 0


def test_frames_are_no_longer_than_the_client_allows(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.conn.send([bytes(40_000 - 5)])
        assert [len(payload) for *_, payload in frames(r.take())] == [16_384, 16_384, 7_232]
        r.give(frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 20_000)))
        r.take()
        r.conn.send([bytes(25_000 - 5)])
        assert [len(payload) for *_, payload in frames(r.take())] == [20_000, 5_000]


def test_several_messages_leave_in_one_frame_and_one_send(impl: ModuleType) -> None:
    with attached(impl) as r:
        before = r.poller.statistics()["sends"]
        r.conn.send([b"one", b"", b"three"])
        assert frames(r.take()) == [(DATA, 0, 1, grpc(b"one") + grpc(b"") + grpc(b"three"))]
        assert r.poller.statistics()["sends"] == before + 1


def test_nothing_to_send_sends_nothing(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.conn.send([])
        assert r.take() == b""


def test_a_smaller_initial_window_may_make_the_window_negative(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.conn.send([bytes(60_000)])
        r.give(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1_000)))
        assert r.h2.streams[1].outbound_flow_control_window == 1_000 - 60_005
        r.take()
        r.conn.send([b"later"])
        assert r.take() == b""
        r.give(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)))
        assert (DATA, 0, 1, grpc(b"later")) in frames(r.take())


def test_grpclib_and_fast_path_send_from_the_same_window(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(HEADERS, 4, 3, block()))
        r.h2.send_headers(1, [(":status", "200")])
        r.h2.send_headers(3, [(":status", "200")])
        r.h2.send_data(3, bytes(16_000))
        r.conn.write(r.h2.data_to_send())
        r.conn.send([bytes(50_000)])
        sent = sum(len(payload) for kind, _, _, payload in frames(r.take()) if kind == DATA)
        assert sent == 65_535
        assert r.h2.outbound_flow_control_window == 0
        r.give(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 100_000)))
        assert sum(len(payload) for kind, _, _, payload in frames(r.take()) if kind == DATA) == 16_000 + 50_005 - 65_535


def test_a_window_that_grows_beyond_what_http2_allows_ends_the_connection(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1)))
        assert r.gone == ["protocol error"]
        assert r.goaway() == (3, b"")


def test_a_client_sees_the_events_of_an_ordinary_server(impl: ModuleType) -> None:
    with rig(impl, limits=MANY, window=WINDOW) as r:
        peer = client(r)
        peer.send_data(1, grpc(ACCEPTED))
        for _ in range(6):
            peer.send_data(1, bytes(10_000))
        assert {type(event) for event in talk(r, peer)} <= {WindowUpdated, SettingsAcknowledged}
