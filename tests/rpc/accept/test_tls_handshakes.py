"""Limits of unfinished TLS handshakes: bytes, number and time. Other handshakes are not delayed by them."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack

import pytest
import trio
import trustme
from trio.testing import MockClock

from server.rpc.accept import tls_worker
from server.rpc.accept.listener import ListenerLimits
from server.rpc.accept.tls_handshakes import TlsHandshakes
from server.rpc.accept.tls_worker import HandshakeSlot, TlsWorker, bytes_read
from server.security.tls import HandshakeRefused, reason_of
from tests.rpc.accept.test_listener import Door, contexts, door, speak

AUTHORITY = trustme.CA()
RECORD = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"
"""The beginning of a record of 16,384 bytes with a ClientHello (RFC 8446 sections 4 and 5.1)."""


@pytest.mark.parametrize(
    ("more", "reason"), [(-1, "handshake_timeout"), (0, "handshake_timeout"), (1, "handshake_too_large")]
)
async def test_the_bytes_of_a_handshake_are_limited(more: int, reason: str) -> None:
    async with door(ListenerLimits(handshake=0.3, handshake_bytes=2_000), contexts(AUTHORITY)[0]) as made:
        with socket.create_connection(made.address) as client:
            client.sendall(RECORD + bytes(2_000 + more - len(RECORD)))
            assert await made.refusal() == reason
        assert made.listener.open == 0


def test_bytes_that_were_not_read_are_not_counted() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as ours,
    ):
        client.sendall(bytes(1_000))
        assert len(ours.recv(400, socket.MSG_WAITALL)) == 400
        assert bytes_read(ours) == 400


@pytest.mark.parametrize("silent", [1, 2, 3])
async def test_concurrent_handshakes_are_limited_and_an_old_stalled_one_is_dropped(silent: int) -> None:
    server, client = contexts(AUTHORITY)
    AUTHORITY.issue_cert("agent.test").configure_cert(client)
    async with door(ListenerLimits(handshakes=3, handshake=4.0), server) as made, trio.open_nursery() as nursery:
        with ExitStack() as stack:
            for _ in range(silent):
                stack.enter_context(socket.create_connection(made.address))
            with trio.fail_after(5):
                while made.listener.open < silent:  # noqa: ASYNC110 - another's plain state
                    await trio.sleep(0.001)
            begin = trio.current_time()
            nursery.start_soon(trio.to_thread.run_sync, speak, made.address, client)
            arrival = await made.arrival()
            if silent == 3:
                assert await made.refusal() == "handshake_crowded_out"
                assert trio.current_time() - begin >= 0.5, "a quarter of their time is theirs"
            else:
                assert made.refused[1].statistics().current_buffer_used == 0
            arrival.sock.close()


class Crowded:
    """In a shaker's stead: notes who is to make room."""

    def __init__(self) -> None:
        self.told: list[HandshakeSlot] = []

    def drop_if_waiting(self, slot: HandshakeSlot) -> None:
        self.told.append(slot)


async def test_only_a_handshake_that_waits_for_its_peer_is_dropped_and_the_oldest_first(
    autojump_clock: MockClock,
) -> None:
    handshakes = TlsHandshakes(limit=3, timeout=8.0, max_bytes=1, threads=1, clock=trio.current_time)
    workers = handshakes._workers = [Crowded()]  # type: ignore[list-item,assignment]
    begun = trio.current_time()
    with ExitStack() as stack:
        computed, first, second = (
            HandshakeSlot(stack.enter_context(socket.socket()), ("127.0.0.1", 1), begun) for _ in range(3)
        )
    for slot in (computed, first, second):
        slot.worker = workers[0]  # type: ignore[assignment]
        handshakes._open[slot] = None
    first.peer_waiting_since = second.peer_waiting_since = begun

    async def give_up() -> None:
        while not workers[0].told:  # noqa: ASYNC110 - another's plain state
            await trio.sleep(0.01)
        handshakes.remove(workers[0].told[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        await handshakes.wait_for_slot()
    assert 2.0 <= trio.current_time() - begun <= 2.2
    assert workers[0].told == [first] and len(handshakes) == 2
    await handshakes.wait_for_slot()
    assert workers[0].told == [first], "there is room"


async def meet(made: Door, *greeting: bytes) -> str:
    """What becomes of a connection that sends this and leaves."""
    with socket.create_connection(made.address) as client:
        client.sendall(b"".join(greeting))
    return await made.refusal()


@pytest.mark.parametrize(
    ("patience", "second"),
    [(60.0, "address_shut_out"), (-1.0, "handshake_cut_off")],
    ids=["served at once", "kept waiting"],
)
async def test_a_peer_that_leaves_is_counted_unless_the_server_kept_it_waiting(
    monkeypatch: pytest.MonkeyPatch, patience: float, second: str
) -> None:
    monkeypatch.setattr(tls_worker, "MAX_OWN_DELAY", patience)
    async with door(ListenerLimits(refusals_per_minute=1, tarpit_seconds=0), contexts(AUTHORITY)[0]) as made:
        assert await meet(made, RECORD) == "handshake_cut_off"
        assert await meet(made, RECORD) == second


async def test_a_peer_without_tls_is_counted_however_long_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_worker, "MAX_OWN_DELAY", -1.0)
    async with door(ListenerLimits(refusals_per_minute=1, tarpit_seconds=0), contexts(AUTHORITY)[0]) as made:
        with socket.create_connection(made.address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert await made.refusal() not in ("handshake_cut_off", "handshake_timeout")
        assert await meet(made) == "address_shut_out"


class Shaking:
    """A shaker whose steps are taken by the test, on a clock that it sets."""

    def __init__(self, timeout: float = 8.0, largest: int = 1 << 20, clients: int = 1) -> None:
        self.now = 100.0
        self.ended: list[HandshakeSlot] = []
        self.worker = TlsWorker(
            contexts(AUTHORITY)[0], timeout, timeout / 4, largest, self.ended.extend, lambda: self.now
        )
        with socket.create_server(("127.0.0.1", 0)) as server:
            pairs = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(clients)]
        self.clients = [client for client, _ in pairs]
        for _, ours in pairs:
            ours.setblocking(False)
        self.slots = [HandshakeSlot(ours, ("127.0.0.1", 1), self.now) for _, ours in pairs]

    def __enter__(self) -> Shaking:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop()
        self.worker.run()
        for sock in (*self.clients, *(slot.sock for slot in self.slots)):
            sock.close()

    def begin(self, number: int = 0) -> HandshakeSlot:
        self.worker.add(self.slots[number])
        self.worker.step(5.0)
        return self.slots[number]


def test_nothing_is_computed_for_a_peer_that_left_before_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with Shaking() as made:
        monkeypatch.setattr(ssl.SSLContext, "wrap_socket", None)
        made.clients[0].sendall(RECORD)
        made.clients[0].close()
        assert made.begin().error is not None and made.ended == made.slots
        assert "before its turn" in str(made.ended[0].error) and reason_of(made.ended[0].error) == "handshake_cut_off"


def test_the_time_that_a_peer_waits_for_the_server_is_not_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with Shaking() as made:
        answers = [ssl.SSLWantReadError(), ssl.SSLWantReadError(), None]

        def compute(secure: ssl.SSLSocket) -> None:
            assert socket.socket.recv(secure, 100) == RECORD
            made.now += 0.4
            answer = answers.pop(0)
            if answer is not None:
                raise answer

        monkeypatch.setattr(ssl.SSLSocket, "do_handshake", compute)
        monkeypatch.setattr(ssl.SSLSocket, "getpeercert", lambda self, binary_form: b"certificate")
        slot = made.begin()
        slot.our_delay = 0.0  # as the kernel counts, which has no clock of ours
        for _ in range(3):
            assert made.ended == []
            made.now += 1.5  # its own
            made.worker.step(0.0)
            made.clients[0].sendall(RECORD)
            made.worker.step(5.0)
        assert made.ended == [slot] and slot.error is None and slot.certificate == b"certificate"
        assert slot.our_delay == pytest.approx(1.2)
    slot.error = TimeoutError()
    assert not slot.is_peers_fault()
    slot.error = HandshakeRefused("handshake_too_large", "large")
    assert slot.is_peers_fault()


@pytest.mark.parametrize(("later", "reason"), [(7.9, None), (8.0, "handshake_timeout")])
def test_a_handshake_ends_at_its_deadline(later: float, reason: str | None) -> None:
    with Shaking(timeout=8.0) as made:
        made.begin()
        made.now += later
        made.worker.step(0.0)
        assert [reason_of(slot.error or OSError()) for slot in made.ended] == ([reason] if reason else [])


@pytest.mark.parametrize(("own", "drop_requested"), [(1.9, False), (2.0, True)])
def test_only_a_peer_that_used_a_quarter_of_its_time_is_dropped(own: float, drop_requested: bool) -> None:
    with Shaking(timeout=8.0) as made:
        slot = made.begin()
        made.now += 1.0
        made.worker.step(0.0)
        made.clients[0].sendall(RECORD)
        made.worker.step(5.0)
        made.now += own - 1.0
        slot.drop_requested = True
        made.worker.drop_if_waiting(slot)
        made.worker.step(5.0)
        assert [reason_of(slot.error or OSError()) for slot in made.ended] == (
            ["handshake_crowded_out"] if drop_requested else []
        )
        assert slot.drop_requested is False


def test_bytes_that_arrived_meanwhile_are_read_first() -> None:
    with Shaking(timeout=8.0, clients=2) as made:
        first, second = made.begin(0), made.begin(1)
        made.now += 3.0
        made.worker.step(0.0)
        made.clients[0].sendall(RECORD)
        made.clients[1].close()
        for slot in (first, second):
            assert slot.peer_delay(made.now) == 3.0
            made.worker.drop_if_waiting(slot)
        made.worker.step(5.0)
        assert [(slot, reason_of(slot.error or OSError())) for slot in made.ended] == [
            (second, "handshake_cut_off"),
            (first, "handshake_crowded_out"),
        ]


def test_finished_handshakes_reach_the_loop_a_few_at_a_time() -> None:
    with Shaking(clients=tls_worker.BATCH + 1) as made:
        told: list[int] = []
        made.worker._ended = lambda slots: told.append(len(slots))
        for number in range(len(made.slots)):
            made.begin(number)
        for client in made.clients:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        made.worker.step(5.0)
        assert told == [tls_worker.BATCH, 1]


def test_unfinished_handshakes_are_closed_at_the_stop() -> None:
    with Shaking(clients=3) as made:
        made.begin(0)
        made.worker.add(made.slots[1])
        made.clients[2].sendall(b"GET / HTTP/1.1\r\n\r\n")
        made.begin(2)
        made.worker.stop()
        made.worker.run()
        assert [slot.sock.fileno() for slot in made.slots] == [-1, -1, -1]
        made.worker = TlsWorker(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), 1.0, 1.0, 1, made.ended.extend)
