"""Simulated hosts at an enrolment port: each gets its own certificate, waits when asked to, and trusts only the right
CA.
"""

from __future__ import annotations

import datetime
import hashlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from _speedups.http2.limits import ConnectionLimits
from loadtest.swarm.join import CannotJoin, Joined, join
from loadtest.swarm.join_target import JoinTarget
from loadtest.swarm.names import host_id_of
from proto.link.errors import LinkRefused
from proto.link.server import bind
from proto.link.unary import Call, serve_calls
from proto.messages import AUTHORITY, ENROL, AuthorityResponse, EnrolRequest, EnrolResponse, parse

BUSY, FORBIDDEN = 8, 7


class Port:
    """An enrolment port. busy: number of requests to put off. seen: host names in order of requests. calls: per
    connection.
    """

    def __init__(self, busy: int = 0) -> None:
        self.authority, self.busy = trustme.CA(), busy
        self.seen: list[str] = []
        self.calls: Counter[str] = Counter()
        root = x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())
        spki = root.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.pin, self._root = f"sha256:{hashlib.sha256(spki).hexdigest()}", root

    async def authority_of(self, call: Call) -> bytes:
        return bytes(AuthorityResponse(self.authority.cert_pem.bytes()))

    async def enrol(self, call: Call) -> bytes:
        request = parse(EnrolRequest, call.data)
        self.seen.append(request.hostname)
        self.calls[call.peer] += 1
        if self.busy:
            self.busy -= 1
            raise LinkRefused(BUSY, "enrolment_busy: later")
        if request.token != "jt_good":
            raise LinkRefused(FORBIDDEN, "join_refused: no such token")
        signing = serialization.load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        csr, now = x509.load_pem_x509_csr(request.csr), datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(self._root.subject)
            .public_key(csr.public_key())
        )
        made = (
            made.serial_number(len(self.seen)).not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
        )
        certificate = made.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
        host_id = host_id_of(9, int(request.hostname.removeprefix("sim-")))
        return bytes(EnrolResponse(host_id, certificate, b"", 0, 1, "", 1))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        sock = bind("127.0.0.1", 0)
        handlers = {AUTHORITY: self.authority_of, ENROL: self.enrol}
        with trio.fail_after(30):
            async with serve_calls(
                handlers, sock, ssl=context, deadline=10, handshake_timeout=10, refused=lambda peer, error: None
            ):
                yield sock.getsockname()[1]


async def join_at(
    port: Port, hosts: int = 1, *, first: int = 0, token: str = "jt_good", pin: str | None = None
) -> tuple[list[Joined], list[int]]:
    told: list[int] = []
    async with port.open() as number:
        join_target = JoinTarget("127.0.0.1", number, token, pin or port.pin)
        # a context of its own: a thread of trio's would inherit the asyncio loop of the port
        alone = partial(Context().run, join, join_target, first, hosts, 1, told.append)
        return await trio.to_thread.run_sync(alone, abandon_on_cancel=True), told


async def test_every_host_gets_its_own_id_and_certificate() -> None:
    port = Port()
    joined, told = await join_at(port, 20, first=100)
    assert [one.host_id for one in joined] == [host_id_of(9, index) for index in range(100, 120)]
    assert sorted(port.seen) == [f"sim-{index:06d}" for index in range(100, 120)]
    assert told == list(range(1, 21))
    assert len({id(one.context) for one in joined}) == 20
    assert all(
        one.context.minimum_version == ssl.TLSVersion.TLSv1_3 and one.context.verify_mode == ssl.CERT_REQUIRED
        for one in joined
    )


async def test_a_join_is_repeated_if_the_server_is_busy() -> None:
    port = Port(busy=5)
    joined, _ = await join_at(port, 3)
    assert len(joined) == 3
    assert len(port.seen) == 8


@pytest.mark.parametrize("hosts", [1, 60, 500])
async def test_a_connection_requests_no_more_joins_than_a_server_allows(hosts: int) -> None:
    port = Port()
    assert len((await join_at(port, hosts))[0]) == hosts
    assert port.calls.total() == hosts and max(port.calls.values()) < ConnectionLimits().streams_per_minute


async def test_a_refused_token_ends_the_join_with_the_servers_message() -> None:
    with pytest.raises(CannotJoin, match="join_refused: no such token"):
        await join_at(Port(), token="jt_bad")


async def test_nothing_is_sent_to_a_server_of_another_ca() -> None:
    port = Port()
    with pytest.raises(CannotJoin, match="belongs to the CA"):
        await join_at(port, pin=Port().pin)
    assert port.seen == []


async def test_a_closed_enrolment_port_is_named() -> None:
    with bind("127.0.0.1", 0) as sock:
        number = sock.getsockname()[1]
    with pytest.raises(CannotJoin, match=f"127.0.0.1:{number}"):
        await trio.to_thread.run_sync(
            join, JoinTarget("127.0.0.1", number, "jt_good", "sha256:"), 0, 1, 1, lambda joined: None
        )
