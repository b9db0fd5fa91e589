"""Joins simulated hosts to a server with TLS, each with its own key, certificate and id, over the enrolment port.

The messages are those of the real agent, but a few connections serve all hosts, because joining is not measured. Keys
are created here and are never written to disk.
"""

from __future__ import annotations

import hashlib
import os
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadtest.swarm.join_target import JoinTarget
from loadtest.swarm.names import hostname_of
from proto.common.exception_groups import first_leaf
from proto.link.errors import LinkClosed, LinkRefused
from proto.link.loop import asyncio_loop
from proto.link.unary import call, calling
from proto.messages import AUTHORITY, ENROL, AuthorityRequest, AuthorityResponse, EnrolRequest, EnrolResponse, parse

CONNECTIONS, CALLS = 8, 50
"""Concurrent connections, and joins per connection. The server closes a connection with more than 120 calls a minute.
"""
WITHIN = 20.0
"""Seconds for one call, as in the real agent."""
RESOURCE_EXHAUSTED, UNAVAILABLE = 8, 14
PAUSE = (0.05, 1.0)
"""Random seconds before a repetition when the server accepts no more joins at the moment."""
BROKEN_IN_A_ROW = 5


class CannotJoin(Exception):
    """A host cannot join; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A joined host.

    Attributes:
        context: TLS context of this host. Each host has its own: in Python's ssl a certificate belongs to a context,
            and loading it into a shared one before every connection would cost more than the handshake.
    """

    host_id: str
    context: ssl.SSLContext


def join(
    join_target: JoinTarget, first: int, hosts: int, seed: int, report_joined: Callable[[int], None]
) -> list[Joined]:
    """Join hosts `first` to `first + hosts - 1` and return them in order.

    Args:
        door: Where to join.
        first: Number of the first host.
        hosts: Number of hosts.
        seed: Seed of random pauses.
        told: Called with the number of joined hosts.

    Raises:
        CannotJoin: A host cannot join.
    """
    try:
        return trio.run(_join, join_target, first, hosts, random.Random(seed), report_joined)
    except BaseExceptionGroup as group:
        raise first_leaf(group) from group


async def _join(
    join_target: JoinTarget, first: int, hosts: int, rng: random.Random, report_joined: Callable[[int], None]
) -> list[Joined]:
    async with asyncio_loop():
        root = await _root(join_target)
        joined: dict[int, Joined] = {}
        indexes = iter(range(first, first + hosts))
        async with trio.open_nursery() as nursery:
            for _ in range(min(CONNECTIONS, hosts)):
                nursery.start_soon(_join_range, join_target, root, indexes, rng, joined, report_joined)
    return [joined[index] for index in range(first, first + hosts)]


async def _root(join_target: JoinTarget) -> str:
    """Return the root certificate (PEM) after comparing it with the pin. Nothing secret is sent before."""
    unverified = _context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        root: bytes = parse(
            AuthorityResponse,
            await call(
                join_target.host, join_target.port, AUTHORITY, bytes(AuthorityRequest()), ssl=unverified, within=WITHIN
            ),
        ).root
        key = x509.load_pem_x509_certificate(root).public_key()
    except (LinkClosed, LinkRefused, ValueError) as error:
        raise CannotJoin(f"the enrolment port {join_target.host}:{join_target.port} returns no CA: {error}") from error
    found = hashlib.sha256(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()
    if join_target.pin != f"sha256:{found}":
        raise CannotJoin(
            f"the enrolment port {join_target.host}:{join_target.port} belongs to the CA sha256:{found}, not to "
            f"{join_target.pin}"
        )
    return root.decode("ascii")


async def _join_range(
    join_target: JoinTarget,
    root: str,
    indexes: Iterator[int],
    rng: random.Random,
    joined: dict[int, Joined],
    report_joined: Callable[[int], None],
) -> None:
    """Join hosts one after the other, several per connection, until none is left."""
    context = _context(root)
    while chunk := list(islice(indexes, CALLS)):
        async with calling(join_target.host, join_target.port, ssl=context, within=WITHIN) as ask:
            for index in chunk:
                joined[index] = await _one(ask, index, join_target, root, rng)
                report_joined(len(joined))


async def _one(
    ask: Callable[[str, bytes], Awaitable[bytes]], index: int, join_target: JoinTarget, root: str, rng: random.Random
) -> Joined:
    key = ec.generate_private_key(ec.SECP256R1())
    request = bytes(EnrolRequest(join_target.token, _csr(key), hostname_of(index), ""))
    broken = 0
    while True:
        try:
            given = parse(EnrolResponse, await ask(ENROL, request))
        except LinkRefused as error:
            if error.code not in (RESOURCE_EXHAUSTED, UNAVAILABLE):
                raise CannotJoin(f"the server refuses host {index}: {error.message}") from error
        except LinkClosed as error:
            broken += 1
            if broken == BROKEN_IN_A_ROW:
                raise CannotJoin(f"host {index} has tried to join {broken} times: {error}") from error
        else:
            return Joined(given.host_id, _own(root, key, given.certificate + given.chain))
        await trio.sleep(rng.uniform(*PAUSE))


def _csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clarion-loadtest")])
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def _own(root: str, key: ec.EllipticCurvePrivateKey, certificates: bytes) -> ssl.SSLContext:
    context = _context(root)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # ssl reads certificates only from files; this file is in memory and has no name (memfd_create(2))
    fd = os.memfd_create("identity")
    try:
        os.write(fd, pem + certificates)
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return context


def _context(root: str | None = None) -> ssl.SSLContext:
    """Return a TLS 1.3 context as in the real agent. Sessions are never resumed, because the server issues
    no tickets.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    if root is not None:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=root)
    return context
