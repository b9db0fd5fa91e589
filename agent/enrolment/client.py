"""Joining with a token, and renewing the certificate afterwards."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from agent import identity
from agent.clock import full_jitter
from agent.enrolment import credentials
from agent.enrolment.credentials import Joined, Key, Receipt
from agent.errors import JoinFailed, StateUnusable
from agent.log import Log
from agent.shim.system import linux
from agent.storage.disk import Disk
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.link.unary import call
from proto.messages import (
    AUTHORITY,
    ENROL,
    RENEW,
    AuthorityRequest,
    AuthorityResponse,
    EnrolRequest,
    EnrolResponse,
    MalformedMessage,
    RenewRequest,
    parse,
)

TIMEOUT = 20.0
LONGEST_MS = 10 * 365 * 86_400_000
"""What a server says of a certificate's life is taken up to here."""
ASK_BASE, ASK_MAX = 2.0, 60.0
"""Seconds between questions of a join that waits for approval: full jitter, growing, from half a second on."""
_PENDING = re.compile(r"join_pending: .* as ([0-9a-f]{32})")
_PASSING = ("enrolment_busy", "overloaded", "store_unavailable", "shutting_down")
"""Refusals that say nothing about a join that waits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How to join. server: the enrolment port. token: its text. pin: as credentials.pin gives it."""

    server: tuple[str, int]
    token: str
    pin: str
    hostname: str


async def join(state: Path, asked: Asked, disk: Disk | None = None, rng: random.Random | None = None) -> Joined:
    """Become a host: nothing secret is sent before the server has proven to be signed by the root with this pin. Waits
    for as long
    as an operator has not decided, if the token asks for it.

    state: a directory that is held. Raises JoinFailed, PinMismatch, StateUnusable."""
    host, port = asked.server
    try:
        answer = parse(
            AuthorityResponse,
            await call(host, port, AUTHORITY, bytes(AuthorityRequest()), ssl=credentials.blind(), within=TIMEOUT),
        )
        credentials.check_pin(answer.root, asked.pin)
        trusted = credentials.trusting(answer.root.decode("ascii"))
        key = _key(state)
        asked_at = linux.boottime_ns() // 1_000_000
        request = EnrolRequest(asked.token, key.request(), asked.hostname, previous(state))
        given = parse(
            EnrolResponse,
            await _ask(state, asked, bytes(request), key, trusted, disk or Disk(), rng or random.Random()),
        )
    except LinkRefused as error:
        raise JoinFailed(
            f"the server does not let this host join: {error.message}", "the message says what to do"
        ) from error
    except (LinkClosed, MessageTooLarge, MalformedMessage, ssl.SSLError, UnicodeDecodeError) as error:
        raise JoinFailed(str(error), _remedy(str(error))) from error
    _check(given, key)
    where = Joined(given.host_id, given.agent_host or host, given.agent_port, host, port, asked.pin)
    try:
        # the certificate last: only with it has this host joined
        (disk or Disk()).write_file(state / identity.NAME, f"{given.host_id}\n".encode())
        credentials.save_joined(state, where, answer.root, disk)
        credentials.save(state, key, given.certificate, given.chain, disk)
        credentials.save_receipt(state, _receipt(given, asked_at), disk)
        (state / credentials.WAITING).unlink(missing_ok=True)
    except OSError as error:
        raise StateUnusable(
            f"{state}: {error.strerror or error}", "make room there; the token's use is gone, so make a new one"
        ) from error
    return where


async def _ask(
    state: Path, asked: Asked, request: bytes, key: Key, trusted: ssl.SSLContext, disk: Disk, rng: random.Random
) -> bytes:
    """The server's answer. Once it has said that the join waits, nothing but an answer ends the waiting, a server that
    is away included."""
    log, tries, request_id = Log(), 0, ""
    while True:
        try:
            return await call(*asked.server, ENROL, request, ssl=trusted, within=TIMEOUT)
        except (LinkRefused, LinkClosed) as error:
            why = str(error.message) if isinstance(error, LinkRefused) else str(error)
            found = _PENDING.match(why)
            if found is None and not (request_id and (isinstance(error, LinkClosed) or why.startswith(_PASSING))):
                if why.startswith("join_denied"):
                    (state / credentials.WAITING).unlink(missing_ok=True)
                raise
        if found is not None and not request_id:
            request_id = found[1]
            try:
                disk.write_file(state / credentials.WAITING, key.pem())
            except OSError as error:
                raise StateUnusable(
                    f"{state}: {error.strerror or error}", "make room there, then join again"
                ) from error
        pause = 0.5 + full_jitter(tries, ASK_BASE, ASK_MAX, rng)
        tries += 1
        log.info(
            "the join waits for approval",
            request_id=request_id,
            after_s=round(pause, 3),
            **({} if found else {"why": why}),
        )
        await trio.sleep(pause)


def _key(state: Path) -> Key:
    """Of a join that has begun to wait here, or a new one."""
    try:
        return Key((state / credentials.WAITING).read_bytes())
    except FileNotFoundError:
        return Key()
    except (OSError, ValueError) as error:
        raise StateUnusable(f"{state / credentials.WAITING}: {error}", "remove it and join again") from error


async def renew(state: Path, where: Joined, disk: Disk | None = None, made: Callable[[], Key] = Key) -> int:
    """Get the next certificate, with the present one, and take it over; its generation. Raises LinkClosed, LinkRefused,
    MessageTooLarge, MalformedMessage, JoinFailed, StateUnusable, OSError."""
    key, asked_at = made(), linux.boottime_ns() // 1_000_000
    context = credentials.client_context(state)
    data = await call(
        where.enrol_host, where.enrol_port, RENEW, bytes(RenewRequest(key.request())), ssl=context, within=TIMEOUT
    )
    given = parse(EnrolResponse, data)
    _check(given, key)
    if given.host_id != where.host_id:
        raise JoinFailed(
            f"the server renewed the certificate of another host, {given.host_id}", "look at the server's log"
        )
    credentials.save(state, key, given.certificate, given.chain, disk)
    # without it the age is not known after a restart, and the next one is fetched early
    with suppress(OSError):
        credentials.save_receipt(state, _receipt(given, asked_at), disk)
    return int(given.generation)


def _receipt(given: EnrolResponse, asked_at: int) -> Receipt:
    """asked_at: boot-time ms of the request, so that the time on the way makes the certificate older and never
    younger."""
    return Receipt(given.generation, linux.boot_id(), asked_at, min(given.good_for_ms, LONGEST_MS))


def previous(state: Path) -> str:
    """The id that this directory has had, or an empty text. Raises StateUnusable: one that cannot be read is no reason
    to become another host."""
    try:
        text = (state / identity.NAME).read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(
            f"{state / identity.NAME}: {getattr(error, 'strerror', None) or error}",
            "make the file readable for the agent's user, or remove it to join as a new host",
        ) from error
    return text if identity.is_id(text) else ""


def _check(given: EnrolResponse, key: Key) -> None:
    if not identity.is_id(given.host_id) or not key.fits(given.certificate):
        raise JoinFailed("the server's answer holds no certificate for this host's key", "use a server of this version")


def _remedy(words: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "dial the server by a name in its agent_port.names, and look at the clocks of both machines"
    return "look whether --server names the enrolment port (8442), and whether it can be reached from here"
