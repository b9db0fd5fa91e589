"""Agent authentication: checks certificate and Hello against what is stored about the host.

`server.security.admit` decides; this module carries the decision out.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

import structlog
import trio

from server.core.effects import Save, SaveIdentity
from server.core.model import HostIdentity
from server.errors import ClarionError
from server.fleet.identities import Identities
from server.fleet.registry import Registry
from server.ports import Clock
from server.security.admit import Admit, Claim, Refuse, SessionHistory, Takeovers, check_certificate, decide_admission
from server.security.ca import Identity
from server.security.tls import identity_of

log = structlog.get_logger(__name__)

FORMER_BOOTS = 4
"""Earlier boot ids of a host that are remembered."""
EXPIRY_CHECK_INTERVAL = 5.0
"""Seconds between two checks for sessions whose certificate has expired."""


class SaveQueue(Protocol):
    """The part of the writer that authentication needs."""

    def put(self, saves: list[Save]) -> None: ...


class AuthenticationMetrics(Protocol):
    """Metrics of refused hosts."""

    def refused(self, reason: str) -> None: ...

    def quarantined(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LastSession:
    """The last session of a host, open or closed. not_after: end of its certificate, ms since the epoch."""

    journal_id: str
    boot_id: str
    former_boots: tuple[str, ...]
    takeovers: tuple[int, ...]
    not_after: int


class HostAuthenticator:
    """Decides whether a connection may become a session, and whether a host may renew its certificate. Never awaits.

    Args:
        identities: the known host identities.
        registry: the connected hosts.
        queue: the writer, for changed identities.
        clock: monotonic and wall time.
        counts: metrics of refusals.
        takeovers: how often a session may be taken over by another connection.
        renew_after_end_ms: milliseconds after its end during which a certificate may still be renewed.
    """

    def __init__(
        self,
        identities: Identities,
        registry: Registry,
        queue: SaveQueue,
        clock: Clock,
        counts: AuthenticationMetrics,
        takeovers: Takeovers = Takeovers(),  # noqa: B008
        renew_after_end_ms: int = 0,
    ) -> None:
        self._identities = identities
        self._registry = registry
        self._queue = queue
        self._clock = clock
        self._counts = counts
        self._takeovers = takeovers
        self._renew_after_end_ms = renew_after_end_ms
        self._last_sessions: dict[str, LastSession] = {}

    def admit(self, certificate: bytes | None, claim: Claim, peer: str) -> None:
        """Admit a session, or refuse it.

        Args:
            certificate: DER, as presented in the TLS handshake.
            claim: what the Hello claims.
            peer: "address:port", for the log.

        Raises:
            ClarionError: the session is refused, with the code for the agent.
        """
        identity = identity_of(certificate)
        now = self._clock.now().wall_ms
        record = self._identities.get(identity.host_id) if identity is not None else None
        verdict = decide_admission(identity, record, claim, self._live_session(claim.host_id), now, self._takeovers)
        admitted = self._apply(verdict, identity, record, peer)
        self._last_sessions[admitted.host_id] = self._remember(admitted, claim, now)

    def check_renewal(self, certificate: bytes | None, peer: str) -> Identity:
        """Return the identity in the certificate if its host may get the next certificate.

        A certificate that has expired may still be renewed for a while.

        Raises:
            ClarionError: the host is unknown, revoked or quarantined, or the certificate is not usable.
        """
        identity = identity_of(certificate)
        record = self._identities.get(identity.host_id) if identity is not None else None
        return self._apply(
            check_certificate(identity, record, self._clock.now().wall_ms, self._renew_after_end_ms),
            identity,
            record,
            peer,
        )

    def forget(self, host_id: str) -> None:
        """Drop what is remembered of the host's last session, because the host joined again or was deleted."""
        self._last_sessions.pop(host_id, None)

    async def run(self) -> None:
        """End the sessions whose certificate has expired, until cancelled."""
        while True:
            await trio.sleep(EXPIRY_CHECK_INTERVAL)
            now = self._clock.now().wall_ms
            for session in self._registry.sessions():
                last = self._last_sessions.get(session.host_id)
                if last is not None and now >= last.not_after and session.ended is None:
                    self._counts.refused("certificate_expired")
                    log.warning("session_cut", reason="certificate_expired", host_id=session.host_id, peer=session.peer)
                    session.end("certificate_expired")

    def _live_session(self, host_id: str) -> SessionHistory:
        last = self._last_sessions.get(host_id)
        if last is None:
            return SessionHistory()
        presence = self._registry.presence(host_id)
        is_open = presence is not None and presence.session is not None
        return SessionHistory(last.journal_id if is_open else None, last.boot_id, last.former_boots, last.takeovers)

    def _remember(self, identity: Identity, claim: Claim, now: int) -> LastSession:
        live = self._live_session(claim.host_id)
        former = live.former_boots
        if live.boot_id and live.boot_id != claim.boot_id:
            former = (*former, live.boot_id)[-FORMER_BOOTS:]
        takeovers = (*live.takeovers, now)[-self._takeovers.most :] if live.journal_id is not None else live.takeovers
        return LastSession(claim.journal_id, claim.boot_id, former, takeovers, identity.not_after)

    def _apply(
        self, verdict: Admit | Refuse, identity: Identity | None, record: HostIdentity | None, peer: str
    ) -> Identity:
        if isinstance(verdict, Refuse):
            self._refuse(verdict, identity, record, peer)
        assert identity is not None and record is not None, "decide refuses a certificate without a known host"
        if verdict.confirms or verdict.ahead:
            if verdict.ahead:
                log.error(
                    "certificate_newer_than_database",
                    host_id=identity.host_id,
                    known=record.generation,
                    shown=identity.generation,
                )
            newer = replace(
                record,
                generation=identity.generation,
                serial=identity.serial,
                not_after=identity.not_after,
                next_serial=None,
                next_not_after=None,
            )
            self._save(newer)
        return identity

    def _refuse(self, verdict: Refuse, identity: Identity | None, record: HostIdentity | None, peer: str) -> NoReturn:
        error = ClarionError(verdict.code)
        self._counts.refused(verdict.code)
        host_id = identity.host_id if identity is not None else None
        if verdict.quarantine is not None:
            assert record is not None
            self._counts.quarantined()
            log.error("host_quarantined", alarm=True, host_id=host_id, peer=peer, why=verdict.quarantine)
            self._save(replace(record, quarantined_at=self._clock.now().wall_ms, quarantine_reason=verdict.quarantine))
            self._registry.disconnect(record.host_id, "quarantined")
        else:
            log.warning("connection_refused", reason=verdict.code, host_id=host_id, peer=peer)
        raise error

    def _save(self, identity: HostIdentity) -> None:
        self._identities.put(identity)
        self._queue.put([SaveIdentity(identity)])


def ignore_failed_handshake(peer: str, error: BaseException) -> None:
    """Default of AgentAuth.handshake_failed: without TLS there are no handshakes."""


@dataclass(frozen=True, slots=True)
class AgentAuth:
    """How agents prove who they are: by a certificate, or by a token on plaintext loopback.

    Attributes:
        tls: the TLS context of the agent port; set together with authenticator.
        authenticator: checks certificates against what is stored about the host.
        verify_token: without TLS, tells whether the bearer token of a call is valid.
        handshake_failed: called with the peer's address and the error for each failed TLS handshake.
    """

    tls: ssl.SSLContext | None = None
    authenticator: HostAuthenticator | None = None
    verify_token: Callable[[str], bool] | None = None
    handshake_failed: Callable[[str, BaseException], None] = ignore_failed_handshake
