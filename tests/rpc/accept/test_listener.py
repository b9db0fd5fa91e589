"""Admission of connections: limits before any byte, TLS with a deadline, and one reason for each refusal."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trustme

from proto.link.server import bind
from server.rpc.accept.listener import AcceptedSocket, Listener, ListenerLimits
from server.security.tls import reason_of


class Door:
    """A listener on a port of its own, and what it told."""

    def __init__(self, limits: ListenerLimits, tls: ssl.SSLContext | None = None) -> None:
        self.sock = bind("127.0.0.1", 0)
        self.address = self.sock.getsockname()
        self.came, self.refused = trio.open_memory_channel[AcceptedSocket](100), trio.open_memory_channel[str](100)
        self.listener = Listener(
            self.sock,
            limits,
            self._took,
            self.refused[0].send_nowait,
            tls,
            lambda peer, error: self.refused[0].send_nowait(reason_of(error)),
        )
        self.open: list[socket.socket] = []

    def _took(self, arrival: AcceptedSocket) -> None:
        self.open.append(arrival.sock)
        self.came[0].send_nowait(arrival)

    async def arrival(self) -> AcceptedSocket:
        with trio.fail_after(10):
            return await self.came[1].receive()

    async def refusal(self) -> str:
        with trio.fail_after(10):
            return await self.refused[1].receive()


@asynccontextmanager
async def door(limits: ListenerLimits, tls: ssl.SSLContext | None = None) -> AsyncIterator[Door]:
    made = Door(limits, tls)
    with made.sock:
        async with trio.open_nursery() as nursery:
            await nursery.start(made.listener.run)
            yield made
            nursery.cancel_scope.cancel()
        for sock in made.open:
            sock.close()


async def test_connections_are_accepted_up_to_the_limit_and_again_after_one_closes() -> None:
    async with door(ListenerLimits(connections=2, per_address=9)) as made:
        clients = [socket.create_connection(made.address) for _ in range(2)]
        first, _ = await made.arrival(), await made.arrival()
        assert first.certificate is None and first.peername[0] == "127.0.0.1" and made.listener.open == 2
        with socket.create_connection(made.address) as third:
            assert await made.refusal() == "too_many"
            await trio.to_thread.run_sync(partial(third.recv, 1))
        made.listener.connection_closed("127.0.0.1")
        with socket.create_connection(made.address):
            await made.arrival()
        for client in clients:
            client.close()


async def test_one_address_cannot_use_all_connections() -> None:
    async with door(ListenerLimits(connections=9, per_address=1)) as made:
        with socket.create_connection(made.address), socket.create_connection(made.address):
            await made.arrival()
            assert await made.refusal() == "too_many_from_address"
        assert made.listener.open == 1


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    authority.configure_trust(client)
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.verify_mode = ssl.CERT_REQUIRED
    return server, client


def speak(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    with socket.create_connection(address) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
        try:
            return secure.recv(1)
        except OSError:
            return b""


async def test_a_client_with_a_certificate_is_accepted_with_it(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    authority.issue_cert("agent.test").configure_cert(client)
    async with door(ListenerLimits(), server) as made, trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, speak, made.address, client)
        arrival = await made.arrival()
        assert arrival.certificate is not None and isinstance(arrival.sock, ssl.SSLSocket)
        arrival.sock.close()


async def test_a_client_without_a_certificate_is_not_accepted(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    async with door(ListenerLimits(), server) as made, trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, speak, made.address, client)
        assert await made.refusal() == "certificate_missing"
        assert made.listener.open == 0 and made.came[1].statistics().current_buffer_used == 0


async def test_plain_bytes_on_the_tls_port_are_refused(authority: trustme.CA) -> None:
    async with door(ListenerLimits(), contexts(authority)[0]) as made:
        with socket.create_connection(made.address) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert await made.refusal() == "not_tls"


async def test_a_handshake_that_stalls_is_cut_off(authority: trustme.CA) -> None:
    async with door(ListenerLimits(handshake=0.1), contexts(authority)[0]) as made:
        with socket.create_connection(made.address) as client:
            client.sendall(b"\x16\x03\x01")
            assert await made.refusal() == "handshake_timeout"
        assert made.listener.open == 0


async def test_a_peer_that_disconnects_before_its_handshake_affects_no_other(authority: trustme.CA) -> None:
    async with door(ListenerLimits(), contexts(authority)[0]) as made:
        for _ in range(20):
            client = socket.create_connection(made.address)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.send(b"\x16")
            client.close()
            await made.refusal()
        assert made.listener.open == 0
