"""Slices of the poller: bounded in time and fair; write queues, slow readers and TLS."""

from __future__ import annotations

import socket
import ssl
import time
from itertools import count
from types import ModuleType
from typing import Any

import pytest
import trustme

from _speedups.http2.limits import ConnectionLimits
from proto.messages import Accepted, CommandMessage
from tests.speedups.http2.kit import (
    DATA,
    HEADERS,
    PING,
    Rig,
    attached,
    block,
    both,
    frame,
    frames,
    grpc,
    opening,
    part,
    readable,
    rig,
)

pytestmark = both

ACCEPTED = bytes(CommandMessage(accepted=Accepted("a", 1)))
MANY = ConnectionLimits(frames_per_second=10_000_000, messages_per_second=10_000_000, pings_per_minute=10_000_000)


def together(impl: ModuleType, count: int, limits: ConnectionLimits = MANY) -> tuple[Any, list[Rig]]:
    poller = part(impl, "http2.poller").Poller(limits)
    rigs = [Rig(impl, limits=limits, poller=poller) for _ in range(count)]
    for number, r in enumerate(rigs, 1):
        r.give(opening())
        r.conn.attach(1, number)
    return poller, rigs


def end(poller: Any, rigs: list[Rig]) -> None:
    for r in rigs:
        r.close()
    poller.close()


def test_a_connection_with_more_than_its_share_waits_for_the_others(impl: ModuleType) -> None:
    poller, rigs = together(impl, 3)
    data = frame(DATA, 0, 1, grpc(ACCEPTED))
    for r in rigs:
        r.peer.send(data * 100)
    order = []
    for _ in range(4):
        order += [row[0] for row in poller.poll(200.0, max_bytes_per_conn=len(data) * 10, budget_s=5.0)]
    assert sorted(order[:30]) == [1] * 10 + [2] * 10 + [3] * 10
    assert sorted(order) == [1] * 40 + [2] * 40 + [3] * 40
    end(poller, rigs)


def test_a_slice_without_time_left_serves_one_connection_and_the_next_slices_the_others(impl: ModuleType) -> None:
    poller, rigs = together(impl, 5)
    for r in rigs:
        r.peer.send(frame(DATA, 0, 1, grpc(ACCEPTED)))
    served = []
    for _ in range(5):
        assert readable(poller.fileno())
        served += [row[0] for row in poller.poll(200.0, budget_s=0.0)]
    assert sorted(served) == [1, 2, 3, 4, 5]
    assert poller.poll(200.0, budget_s=5.0) == []
    assert not readable(poller.fileno())
    end(poller, rigs)


def test_a_busy_connection_does_not_starve_others_in_short_slices(impl: ModuleType) -> None:
    poller, rigs = together(impl, 3)
    data = frame(PING, 0, 0, bytes(8)) * 3_000
    rigs[0].peer.send(data)
    for r in rigs[1:]:
        r.peer.send(frame(DATA, 0, 1, grpc(ACCEPTED)))
    rows = []
    for _ in range(6):
        rows += poller.poll(200.0, budget_s=0.0)
    assert sorted(row[0] for row in rows) == [2, 3]
    end(poller, rigs)


def test_a_slice_ends_in_time_although_one_connection_is_expensive(
    impl: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock finds it a millisecond on; so what comes between two looks is all that a slice can be late
    by."""
    poller, rigs = together(impl, 1)
    clock = count(0.0, 0.001)
    for module in (impl, part(impl, "http2.poller"), part(impl, "http2.frame_reader")):
        monkeypatch.setattr(module, "monotonic", clock.__next__)
    rigs[0].peer.send(frame(PING, 0, 0, bytes(8)) * 3_000)
    slices = []
    while readable(poller.fileno()):
        before = poller.statistics()["frames"]
        poller.poll(200.0, budget_s=0.0025)
        slices.append(poller.statistics()["frames"] - before)
        rigs[0].take()
    assert sum(slices) == 3_000
    assert max(slices) == 3 * 8, "frames of three batches, each with a look after it"
    assert sum(1 for kind, *_ in frames(rigs[0].received) if kind == PING) == 3_000
    end(poller, rigs)


def test_frames_left_over_by_a_short_slice_are_not_lost_or_reordered(impl: ModuleType) -> None:
    poller, rigs = together(impl, 1)
    messages = [bytes(CommandMessage(accepted=Accepted(str(number), 1))) for number in range(500)]
    rigs[0].peer.send(
        b"".join(
            frame(DATA, 0, 1, grpc(message)) + (frame(PING, 0, 0, bytes(8)) if not number % 7 else b"")
            for number, message in enumerate(messages)
        )
    )
    rows = []
    while readable(poller.fileno()):
        rows += poller.poll(200.0, budget_s=0.0)
    assert [row[2] for row in rows] == [str(number) for number in range(500)]
    end(poller, rigs)


def test_a_connection_is_added_once_and_discarded_without_a_row(impl: ModuleType) -> None:
    with attached(impl) as r:
        with pytest.raises(ValueError, match="is in the hub already"):
            r.poller.add(r.conn)
        r.poller.discard(r.conn)
        assert r.give(frame(DATA, 0, 1, grpc(ACCEPTED))) == []
        assert r.gone == []
        r.poller.add(r.conn)
        assert r.turn() == [(7, 5, "a", 1)]


def test_statistics_include_closed_connections(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(DATA, 0, 1, grpc(ACCEPTED)) * 3)
        before = r.poller.statistics()
        assert (before["connections"], before["attached"], before["messages"]) == (1, 1, 3)
        r.conn.abort()
        r.turn()
        after = r.poller.statistics()
        assert (after["connections"], after["attached"], after["messages"], after["gone"]) == (0, 0, 3, 1)
        assert after["bytes_in"] == before["bytes_in"]


def test_closing_the_poller_ends_every_connection(impl: ModuleType) -> None:
    poller, rigs = together(impl, 3)
    poller.close()
    assert [r.gone for r in rigs] == [["aborted"]] * 3
    assert [r.protocol.lost for r in rigs] == [1] * 3
    for r in rigs:
        r.peer.close()


# --- out
# ---------------------------------------------------------------------------------------------------------------------


def slow(r: Rig) -> None:
    """A peer whose windows are open and whose socket is not read."""
    r.conn.buffered.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    r.h2.outbound_flow_control_window = r.h2.streams[1].outbound_flow_control_window = 1 << 30


def test_bytes_for_a_slow_reader_wait_in_order(impl: ModuleType) -> None:
    with attached(impl) as r:
        slow(r)
        messages = [bytes((number,)) * 5_000 for number in range(100)]
        for message in messages:
            r.conn.send([message])
        r.conn.write(frame(PING, 0, 0, b"the last"))
        assert r.conn.queued_bytes > 300_000
        data = b""
        while r.conn.queued_bytes:
            data += r.peer.recv(3_000)
            r.turn()
        while readable(r.peer.fileno()):
            data += r.peer.recv(1 << 20)
        *parts, last = frames(data)
        assert b"".join(payload for *_, payload in parts) == b"".join(map(grpc, messages))
        assert last == (PING, 0, 0, b"the last")


@pytest.mark.parametrize(("more", "kept"), [(-1, True), (0, True), (1, False)])
def test_the_limit_of_the_queue_is_exact(impl: ModuleType, more: int, kept: bool) -> None:
    with attached(impl, limits=ConnectionLimits(write_queue_bytes=100_000)) as r:
        slow(r)
        while not r.conn.queued_bytes:
            r.conn.write(frame(PING, 0, 0, bytes(8)) * 100)
        left = 100_000 - r.conn.queued_bytes
        r.conn.write(bytes(left + more))
        assert r.conn.closed is not kept
        assert r.turn() == ([] if kept else [(7, -1, "write queue full")])


def test_bytes_held_back_by_windows_count_as_queued(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(write_queue_bytes=100_000)) as r:
        r.conn.send([bytes(65_535 + 100_000 - 5)])
        assert not r.conn.closed
        r.conn.send([b""])
        assert r.turn() == [(7, -1, "write queue full")]


def test_closing_waits_until_everything_is_sent(impl: ModuleType) -> None:
    with attached(impl) as r:
        slow(r)
        r.conn.send([bytes(300_000)])
        r.conn.close()
        assert not r.conn.closed
        data = b""
        while not r.conn.closed:
            data += r.peer.recv(20_000)
            r.turn()
        while piece := r.peer.recv(1 << 20):
            data += piece
        assert sum(len(payload) for *_, payload in frames(data)) == 300_005
        assert r.gone == ["closed"]
        assert r.rows == [(7, -1, "closed")]


def test_closing_has_a_time_limit(impl: ModuleType) -> None:
    with attached(impl, limits=ConnectionLimits(linger=10.0)) as r:
        slow(r)
        r.conn.send([bytes(300_000)])
        r.conn.close()
        r.now += 9.9
        assert r.turn() == []
        r.now += 0.2
        assert r.turn() == [(7, -1, "closed")]


def test_nothing_is_read_from_a_connection_that_is_closing(impl: ModuleType) -> None:
    with attached(impl) as r:
        slow(r)
        r.conn.send([bytes(300_000)])
        r.conn.close()
        assert r.give(frame(DATA, 0, 1, grpc(ACCEPTED))) == []
        assert not readable(r.poller.fileno())


def test_aborting_closes_the_socket_at_once(impl: ModuleType) -> None:
    with attached(impl) as r:
        slow(r)
        r.conn.send([bytes(300_000)])
        r.conn.abort()
        assert r.conn.closed
        assert r.conn.buffered.sock.fileno() == -1
        assert r.turn() == [(7, -1, "aborted")]


# --- TLS
# ---------------------------------------------------------------------------------------------------------------------


def tls_pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Both ends of a TCP connection over loopback after their handshake."""
    authority = trustme.CA()
    server, agent = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("server.test").configure_cert(server)
    authority.configure_trust(agent)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    ends = [
        server.wrap_socket(far, server_side=True, do_handshake_on_connect=False),
        agent.wrap_socket(near, server_hostname="server.test", do_handshake_on_connect=False),
    ]
    left = list(ends)
    for each in ends:
        each.setblocking(False)
    until = time.monotonic() + 10
    while left:
        assert time.monotonic() < until
        for each in list(left):
            try:
                each.do_handshake()
                left.remove(each)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
    return ends[0], ends[1]


class Agent:
    """The agent's end of TLS, non-blocking."""

    def __init__(self, r: Rig) -> None:
        self.r, self.sock, self.data = r, r.peer, b""

    def send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.sock.send(data) :]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self.recv()
            self.r.turn()

    def recv(self, size: int = 1 << 20) -> None:
        try:
            self.data += self.sock.recv(size)
        except ssl.SSLWantReadError:
            self.r.turn()

    def wait(self, what: Any) -> None:
        until = time.monotonic() + 10
        while not what():
            assert time.monotonic() < until, "it did not happen within 10 s"
            self.recv()
            self.r.turn()


def test_messages_cross_tls_in_both_directions(impl: ModuleType) -> None:
    with rig(impl, pair=tls_pair(), limits=MANY) as r:
        agent = Agent(r)
        agent.send(opening())
        agent.wait(lambda: 1 in r.handler.streams)
        r.conn.attach(1, 7)
        agent.send(frame(DATA, 0, 1, grpc(ACCEPTED)) * 3_000)
        agent.wait(lambda: len(r.rows) == 3_000)
        r.h2.outbound_flow_control_window = r.h2.streams[1].outbound_flow_control_window = 1 << 30
        messages = [bytes((number,)) * 30_000 for number in range(200)]
        for message in messages:
            r.conn.send([message])
        assert r.conn.queued_bytes > 0
        agent.wait(lambda: r.conn.queued_bytes == 0 and len(agent.data) > 200 * 30_005)
        while readable(agent.sock.fileno()):
            agent.recv()
        assert b"".join(payload for kind, _, _, payload in frames(agent.data) if kind == DATA) == b"".join(
            map(grpc, messages)
        )


def test_bytes_already_decrypted_by_tls_are_read(impl: ModuleType) -> None:
    """One record holds more than a slice may read; epoll sees an empty socket and says nothing."""
    with rig(impl, pair=tls_pair()) as r:
        agent = Agent(r)
        agent.send(opening())
        agent.wait(lambda: 1 in r.handler.streams)
        r.conn.attach(1, 7)
        agent.sock.send(frame(DATA, 0, 1, grpc(ACCEPTED)) * 300)
        until = time.monotonic() + 10
        rows: list[Any] = []
        while len(rows) < 300:
            assert time.monotonic() < until
            if readable(r.poller.fileno()):
                rows += r.poller.poll(r.now, max_bytes_per_conn=100, budget_s=5.0)
        assert len(rows) == 300


def test_bytes_that_are_not_tls_end_the_connection(impl: ModuleType) -> None:
    pair = tls_pair()
    with rig(impl, pair=pair) as r:
        agent = Agent(r)
        agent.send(opening())
        agent.wait(lambda: 1 in r.handler.streams)
        r.conn.attach(1, 7)
        raw = socket.socket(fileno=pair[1].detach())
        raw.send(b"plain text where a record should be")
        until = time.monotonic() + 10
        while not r.conn.closed:
            assert time.monotonic() < until
            r.turn()
        r.turn()
        raw.close()
        assert len(r.gone) == 1
        assert r.gone[0].startswith("tls: ")
        assert r.rows == [(7, -1, r.gone[0])]


def test_a_header_of_another_call_beside_tls_data_is_served(impl: ModuleType) -> None:
    with rig(impl, pair=tls_pair()) as r:
        agent = Agent(r)
        agent.send(opening())
        agent.wait(lambda: 1 in r.handler.streams)
        r.conn.attach(1, 7)
        agent.send(frame(DATA, 0, 1, grpc(ACCEPTED)) + frame(HEADERS, 4, 3, block()))
        agent.wait(lambda: 3 in r.handler.streams)
        assert r.rows == [(7, 5, "a", 1)]
