"""Joins a server with a token, and renews the certificate afterwards."""

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
from agent.enrolment import credentials, facts
from agent.enrolment.credentials import Joined, Key, Receipt
from agent.errors import JoinFailed, StateUnusable
from agent.log import Log
from agent.shim.system import linux
from agent.storage.disk import Disk
from proto.common import file_errors
from proto.ids import is_id
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
"""Longest lifetime of a certificate that is believed, in milliseconds."""
ASK_BASE, ASK_MAX = 2.0, 60.0
"""Seconds between requests of a join that waits for approval: full jitter with growing pauses, plus half a second."""
_PENDING = re.compile(r"join_pending: .* as ([0-9a-f]{32})")
_PASSING = ("enrolment_busy", "overloaded", "store_unavailable", "shutting_down")
"""Refusals that do not decide about a waiting join."""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """How to join.

    Attributes:
        server: Host and enrolment port.
        token: Text of the join token.
        pin: Pin of the CA in the form that credentials.pin returns.
        hostname: Host name sent to the server, and kept for `run`; empty for the kernel's.
    """

    server: tuple[str, int]
    token: str
    pin: str
    hostname: str = ""


async def join(state: Path, asked: JoinRequest, disk: Disk | None = None, rng: random.Random | None = None) -> Joined:
    """Join a server.

    Nothing secret is sent before the server has proven that the root with this pin signed its certificate. If the token
    requires approval, the call waits until an operator has decided.

    Args:
        state: A state directory whose lock is held.
        asked: How to join.
        disk: File operations; tests replace them.
        rng: Source of randomness.

    Raises:
        JoinFailed: The server cannot be reached or refuses this host.
        PinMismatch: The CA has another pin.
        StateUnusable: A file cannot be read or written.
    """
    host, port = asked.server
    try:
        answer = parse(
            AuthorityResponse,
            await call(
                host, port, AUTHORITY, bytes(AuthorityRequest()), ssl=credentials.unverified_context(), within=TIMEOUT
            ),
        )
        credentials.check_pin(answer.root, asked.pin)
        trusted = credentials.trusting_context(answer.root.decode("ascii"))
        key = _key(state)
        asked_at = linux.boottime_ns() // 1_000_000
        request = EnrolRequest(asked.token, key.request(), asked.hostname or facts.own_name(), previous(state))
        given = parse(
            EnrolResponse,
            await _request_certificate(
                state, asked, bytes(request), key, trusted, disk or Disk(), rng or random.Random()
            ),
        )
    except LinkRefused as error:
        raise JoinFailed(
            f"the server refuses this host: {error.message}", "follow the remedy in the message"
        ) from error
    except (LinkClosed, MessageTooLarge, MalformedMessage, ssl.SSLError, UnicodeDecodeError) as error:
        raise JoinFailed(str(error), _remedy(str(error))) from error
    _check(given, key)
    where = Joined(given.host_id, given.agent_host or host, given.agent_port, host, port, asked.pin, asked.hostname)
    try:
        # the certificate is written last: it marks this host as joined
        (disk or Disk()).write_file(state / identity.NAME, f"{given.host_id}\n".encode())
        credentials.save_joined(state, where, answer.root, disk)
        credentials.save(state, key, given.certificate, given.chain, disk)
        credentials.save_receipt(state, _receipt(given, asked_at), disk)
        (state / credentials.WAITING).unlink(missing_ok=True)
    except OSError as error:
        raise StateUnusable(
            f"{state}: {error.strerror or error}",
            f"{file_errors.remedy(error)}; the token has been used, so create a new one",
        ) from error
    return where


async def _request_certificate(
    state: Path, asked: JoinRequest, request: bytes, key: Key, trusted: ssl.SSLContext, disk: Disk, rng: random.Random
) -> bytes:
    """Request the certificate and return the server's answer.

    Once the server has answered that the join waits for approval, only its decision ends the wait; an unreachable
    server does not.
    """
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
                    f"{state}: {error.strerror or error}", f"{file_errors.remedy(error)}; then join again"
                ) from error
        pause = 0.5 + full_jitter(tries, ASK_BASE, ASK_MAX, rng)
        tries += 1
        log.info(
            "join_waiting",
            request_id=request_id,
            after_s=round(pause, 3),
            **({} if found else {"why": why}),
        )
        await trio.sleep(pause)


def _key(state: Path) -> Key:
    """Return the key of a join that already waits in this directory, or a new one."""
    try:
        return Key((state / credentials.WAITING).read_bytes())
    except FileNotFoundError:
        return Key()
    except OSError as error:
        raise StateUnusable(f"{state / credentials.WAITING}: {error.strerror}", file_errors.remedy(error)) from error
    except ValueError as error:
        raise StateUnusable(f"{state / credentials.WAITING}: {error}", "remove it and join again") from error


async def renew(state: Path, where: Joined, disk: Disk | None = None, made: Callable[[], Key] = Key) -> int:
    """Use the present certificate to get the next one and store it; return its generation.

    Raises:
        LinkClosed: The connection was lost.
        LinkRefused: The server refuses the renewal.
        MessageTooLarge: The answer is too large.
        MalformedMessage: The answer cannot be decoded.
        JoinFailed: The answer is not for this host.
        StateUnusable: A file cannot be read.
        OSError: A file cannot be written.
    """
    key, asked_at = made(), linux.boottime_ns() // 1_000_000
    context = credentials.client_context(state)
    data = await call(
        where.enrol_host, where.enrol_port, RENEW, bytes(RenewRequest(key.request())), ssl=context, within=TIMEOUT
    )
    given = parse(EnrolResponse, data)
    _check(given, key)
    if given.host_id != where.host_id:
        raise JoinFailed(
            f"the server renewed the certificate of another host, {given.host_id}", "check the server's log"
        )
    credentials.save(state, key, given.certificate, given.chain, disk)
    # without the receipt the age is unknown after a restart, and the next certificate is requested early
    with suppress(OSError):
        credentials.save_receipt(state, _receipt(given, asked_at), disk)
    return int(given.generation)


def _receipt(given: EnrolResponse, asked_at: int) -> Receipt:
    """Build the receipt. `asked_at` is the boot-time clock at the request, so that transfer time makes the certificate
    older.
    """
    return Receipt(given.generation, linux.boot_id(), asked_at, min(given.good_for_ms, LONGEST_MS))


def previous(state: Path) -> str:
    """Return the host id that this directory has had, or an empty text.

    Raises:
        StateUnusable: The id cannot be read. An unreadable id is an error, because without it this machine would become
            another host.
    """
    try:
        text = (state / identity.NAME).read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(
            f"{state / identity.NAME}: {getattr(error, 'strerror', None) or error}",
            "make the file readable for the agent's user, or remove it to join as a new host",
        ) from error
    return text if is_id(text) else ""


def _check(given: EnrolResponse, key: Key) -> None:
    if not is_id(given.host_id) or not key.matches(given.certificate):
        raise JoinFailed(
            "the server's answer contains no certificate for this host's key", "use a server of this version"
        )


def _remedy(words: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "name the server by one of its agent_port.names, and check the clocks of both machines"
    return "check that --server names the enrolment port (8442) and that this host can reach it"
