"""What handshakes that do not end may cost: bytes, places and time. Those that do end are not held up by them."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack

import pytest
import trio
import trustme
from trio.testing import MockClock

from server.rpc import shake
from server.rpc.listener import Limits
from server.rpc.shake import Handshakes, taken
from server.security.tls import HandshakeRefused
from tests.rpc.test_listener import Door, contexts, door, speak

AUTHORITY = trustme.CA()
RECORD = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"
"""The beginning of a record of 16,384 bytes with a ClientHello (RFC 8446 sections 4 and 5.1)."""


@pytest.mark.parametrize(("more", "reason"), [(-1, "handshake_timeout"), (0, "handshake_timeout"), (1, "handshake_too_large")])
async def test_the_bytes_of_a_handshake_have_a_limit(more: int, reason: str) -> None:
    async with door(Limits(handshake=0.3, handshake_bytes=2_000), contexts(AUTHORITY)[0]) as made:
        with socket.create_connection(made.address) as client:
            client.sendall(RECORD + bytes(2_000 + more - len(RECORD)))
            assert await made.refusal() == reason
        assert made.listener.open == 0


def test_bytes_that_were_not_read_are_not_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client, server.accept()[0] as ours:
        client.sendall(bytes(1_000))
        assert len(ours.recv(400, socket.MSG_WAITALL)) == 400
        assert taken(ours) == 400


@pytest.mark.parametrize("silent", [1, 2, 3])
async def test_handshakes_at_once_have_a_limit_and_an_old_one_makes_room_for_who_does_not_stall(silent: int) -> None:
    server, client = contexts(AUTHORITY)
    AUTHORITY.issue_cert("agent.test").configure_cert(client)
    async with door(Limits(handshakes=3, handshake=4.0), server) as made, trio.open_nursery() as nursery:
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


async def test_only_who_keeps_us_waiting_makes_room_and_the_oldest_does_first(autojump_clock: MockClock) -> None:
    handshakes = Handshakes(most=3, timeout=8.0, largest=1, threads=1)
    computed, first, second = (handshakes.begin() for _ in range(3))
    first.waits = second.waits = True

    async def give_up() -> None:
        with first.scope:
            await trio.sleep_forever()
        handshakes.end(first)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        await handshakes.room()
    assert 2.0 <= trio.current_time() <= 2.2
    assert (computed.crowded, first.crowded, second.crowded, len(handshakes)) == (False, True, False, 2)
    await handshakes.room()
    assert not second.crowded, "there is room"


async def meet(made: Door, *greeting: bytes) -> str:
    """What becomes of a connection that sends this and leaves."""
    with socket.create_connection(made.address) as client:
        client.sendall(b"".join(greeting))
    return await made.refusal()


@pytest.mark.parametrize(("patience", "second"), [(60.0, "address_shut_out"), (-1.0, "handshake_cut_off")], ids=["served at once", "kept waiting"])
async def test_who_leaves_is_blamed_unless_we_kept_it_waiting(monkeypatch: pytest.MonkeyPatch, patience: float, second: str) -> None:
    monkeypatch.setattr(shake, "PATIENCE", patience)
    async with door(Limits(refusals_per_minute=1, shut_out_seconds=0), contexts(AUTHORITY)[0]) as made:
        assert await meet(made, RECORD) == "handshake_cut_off"
        assert await meet(made, RECORD) == second


async def test_who_speaks_no_tls_is_blamed_however_long_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shake, "PATIENCE", -1.0)
    async with door(Limits(refusals_per_minute=1, shut_out_seconds=0), contexts(AUTHORITY)[0]) as made:
        with socket.create_connection(made.address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert await made.refusal() not in ("handshake_cut_off", "handshake_timeout")
        assert await meet(made) == "address_shut_out"


async def test_for_a_peer_that_left_before_its_turn_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    handshakes, tls = Handshakes(most=1, timeout=1.0, largest=1, threads=1), contexts(AUTHORITY)[0]
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(RECORD)
        with server.accept()[0] as ours, pytest.raises(ConnectionResetError, match="before its turn"):
            handshakes.wrap(handshakes.begin(), ours, tls)


async def test_the_time_that_a_peer_waits_for_us_is_counted_and_its_own_is_not(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    answers = [ssl.SSLWantReadError(), ssl.SSLWantReadError(), None]

    async def compute(step: object, *, limiter: object) -> None:
        await trio.sleep(0.4)
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    async def hear(sock: object) -> None:
        await trio.sleep(3)

    monkeypatch.setattr(trio.to_thread, "run_sync", compute)
    monkeypatch.setattr(trio.lowlevel, "wait_readable", hear)
    monkeypatch.setattr(shake, "taken", lambda sock: 0)
    handshakes = Handshakes(most=1, timeout=60.0, largest=1, threads=1)
    place = handshakes.begin()
    with ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(socket.socket(), server_side=True, do_handshake_on_connect=False) as secure:
        await handshakes.shake(place, secure)
    assert place.kept == pytest.approx(1.2) and not place.blames(TimeoutError()) and place.blames(HandshakeRefused("handshake_too_large", "large"))
