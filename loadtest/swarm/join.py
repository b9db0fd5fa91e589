"""Simulated hosts become hosts of a server with TLS: each with a key, a certificate and an id of its own, over the
enrolment port.

The same messages as the real agent's, over a few connections for all hosts together instead of one for each: what is
measured later is not
the joining. Keys are made here and are never written to a disk.
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

from loadtest.swarm.door import Door
from loadtest.swarm.names import hostname_of
from proto.common.exception_groups import first_leaf
from proto.link.errors import LinkClosed, LinkRefused
from proto.link.loop import asyncio_loop
from proto.link.unary import call, calling
from proto.messages import AUTHORITY, ENROL, AuthorityRequest, AuthorityResponse, EnrolRequest, EnrolResponse, parse

CONNECTIONS, CALLS = 8, 50
"""At once, and joins over one of them: an agent needs one, and the server cuts off a connection with more than 120
calls a minute."""
WITHIN = 20.0
"""Seconds for one call, as with the real agent."""
RESOURCE_EXHAUSTED, UNAVAILABLE = 8, 14
PAUSE = (0.05, 1.0)
"""Seconds before asking again, drawn at random, when the server takes no more joins for the moment."""
BROKEN_IN_A_ROW = 5


class CannotJoin(Exception):
    """The message says why."""


@dataclass(frozen=True, slots=True)
class Joined:
    """context: for dialling the server as this host. Each has its own: a certificate belongs to a context in Python's
    ssl, and reading
    it into a shared one before every dial would cost more than the handshake."""

    host_id: str
    context: ssl.SSLContext


def join(door: Door, first: int, hosts: int, seed: int, told: Callable[[int], None]) -> list[Joined]:
    """Hosts `first` to `first + hosts - 1`, in their order. told: called with the number of those that have joined.
    Raises CannotJoin."""
    try:
        return trio.run(_join, door, first, hosts, random.Random(seed), told)
    except BaseExceptionGroup as group:
        raise first_leaf(group) from group


async def _join(door: Door, first: int, hosts: int, rng: random.Random, told: Callable[[int], None]) -> list[Joined]:
    async with asyncio_loop():
        root = await _root(door)
        joined: dict[int, Joined] = {}
        indexes = iter(range(first, first + hosts))
        async with trio.open_nursery() as nursery:
            for _ in range(min(CONNECTIONS, hosts)):
                nursery.start_soon(_some, door, root, indexes, rng, joined, told)
    return [joined[index] for index in range(first, first + hosts)]


async def _root(door: Door) -> str:
    """The root certificate, PEM. Nothing secret is sent before it has been compared with the pin."""
    blind = _context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    try:
        root: bytes = parse(
            AuthorityResponse,
            await call(door.host, door.port, AUTHORITY, bytes(AuthorityRequest()), ssl=blind, within=WITHIN),
        ).root
        key = x509.load_pem_x509_certificate(root).public_key()
    except (LinkClosed, LinkRefused, ValueError) as error:
        raise CannotJoin(f"the enrolment port {door.host}:{door.port} gives no CA: {error}") from error
    found = hashlib.sha256(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()
    if door.pin != f"sha256:{found}":
        raise CannotJoin(
            f"the enrolment port {door.host}:{door.port} belongs to the CA sha256:{found}, not to {door.pin}"
        )
    return root.decode("ascii")


async def _some(
    door: Door,
    root: str,
    indexes: Iterator[int],
    rng: random.Random,
    joined: dict[int, Joined],
    told: Callable[[int], None],
) -> None:
    """Hosts one after the other, several over one connection, until there are none left."""
    context = _context(root)
    while chunk := list(islice(indexes, CALLS)):
        async with calling(door.host, door.port, ssl=context, within=WITHIN) as ask:
            for index in chunk:
                joined[index] = await _one(ask, index, door, root, rng)
                told(len(joined))


async def _one(
    ask: Callable[[str, bytes], Awaitable[bytes]], index: int, door: Door, root: str, rng: random.Random
) -> Joined:
    key = ec.generate_private_key(ec.SECP256R1())
    request = bytes(EnrolRequest(door.token, _csr(key), hostname_of(index), ""))
    broken = 0
    while True:
        try:
            given = parse(EnrolResponse, await ask(ENROL, request))
        except LinkRefused as error:
            if error.code not in (RESOURCE_EXHAUSTED, UNAVAILABLE):
                raise CannotJoin(f"the server does not let host {index} join: {error.message}") from error
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
    # ssl reads only from files; this one is in memory and has no name (memfd_create(2))
    fd = os.memfd_create("identity")
    try:
        os.write(fd, pem + certificates)
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return context


def _context(root: str | None = None) -> ssl.SSLContext:
    """TLS 1.3 and nothing else, as the real agent. No session is ever resumed: the server gives no tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    if root is not None:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=root)
    return context
