"""The gate of the agent port: certificate and Hello against what is known of the host. It carries out what
`admit.decide` says."""

from __future__ import annotations

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

log = structlog.get_logger("rpc.gate")

FORMER_BOOTS = 4
LOOK_EVERY = 5.0
"""Seconds between looks for sessions whose certificate has come to its end."""


class Queue(Protocol):
    """The writer, as the gate sees it."""

    def put(self, saves: list[Save]) -> None: ...


class Counts(Protocol):
    """Metrics of who does not get in."""

    def refused(self, reason: str) -> None: ...

    def quarantined(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LastSession:
    """The last session of a host, open or not. not_after: of its certificate, ms."""

    journal_id: str
    boot_id: str
    former_boots: tuple[str, ...]
    takeovers: tuple[int, ...]
    not_after: int


class HostAuthenticator:
    """`admit` for a connection that wants to be a session, `renewable` for one that wants its next certificate. Neither
    awaits."""

    def __init__(
        self,
        identities: Identities,
        registry: Registry,
        queue: Queue,
        clock: Clock,
        counts: Counts,
        takeovers: Takeovers = Takeovers(),  # noqa: B008
        renew_after_end_ms: int = 0,
    ) -> None:
        self._identities, self._registry, self._queue, self._clock, self._counts = (
            identities,
            registry,
            queue,
            clock,
            counts,
        )
        self._takeovers, self._renew_after_end_ms = takeovers, renew_after_end_ms
        self._traces: dict[str, LastSession] = {}

    def admit(self, certificate: bytes | None, claim: Claim, peer: str) -> None:
        """certificate: DER, as shown in TLS. Raises ClarionError with the code that the agent is to see."""
        identity, now = identity_of(certificate), self._clock.now().wall_ms
        record = self._identities.get(identity.host_id) if identity is not None else None
        verdict = decide_admission(identity, record, claim, self._live(claim.host_id), now, self._takeovers)
        admitted = self._carry_out(verdict, identity, record, peer)
        self._traces[admitted.host_id] = self._trace(admitted, claim, now)

    def renewable(self, certificate: bytes | None, peer: str) -> Identity:
        """Who may have the next certificate: also a host whose last one has ended, for a while. Raises ClarionError."""
        identity = identity_of(certificate)
        record = self._identities.get(identity.host_id) if identity is not None else None
        return self._carry_out(
            check_certificate(identity, record, self._clock.now().wall_ms, self._renew_after_end_ms),
            identity,
            record,
            peer,
        )

    def forget(self, host_id: str) -> None:
        """The host has joined anew, or is gone: what was seen of it before means nothing any more."""
        self._traces.pop(host_id, None)

    async def run(self) -> None:
        """Cut sessions whose certificate has come to its end."""
        while True:
            await trio.sleep(LOOK_EVERY)
            now = self._clock.now().wall_ms
            for session in self._registry.sessions():
                trace = self._traces.get(session.host_id)
                if trace is not None and now >= trace.not_after and session.ended is None:
                    self._counts.refused("certificate_expired")
                    log.warning("session cut", reason="certificate_expired", host_id=session.host_id, peer=session.peer)
                    session.end("certificate_expired")

    def _live(self, host_id: str) -> SessionHistory:
        trace = self._traces.get(host_id)
        if trace is None:
            return SessionHistory()
        presence = self._registry.presence(host_id)
        is_open = presence is not None and presence.session is not None
        return SessionHistory(trace.journal_id if is_open else None, trace.boot_id, trace.former_boots, trace.takeovers)

    def _trace(self, identity: Identity, claim: Claim, now: int) -> LastSession:
        live = self._live(claim.host_id)
        former = live.former_boots
        if live.boot_id and live.boot_id != claim.boot_id:
            former = (*former, live.boot_id)[-FORMER_BOOTS:]
        takeovers = (*live.takeovers, now)[-self._takeovers.most :] if live.journal_id is not None else live.takeovers
        return LastSession(claim.journal_id, claim.boot_id, former, takeovers, identity.not_after)

    def _carry_out(
        self, verdict: Admit | Refuse, identity: Identity | None, record: HostIdentity | None, peer: str
    ) -> Identity:
        if isinstance(verdict, Refuse):
            self._refuse(verdict, identity, record, peer)
        assert identity is not None and record is not None, "decide refuses those"
        if verdict.confirms or verdict.ahead:
            if verdict.ahead:
                log.error(
                    "a certificate is newer than the database: was a backup restored?",
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
            log.error("host quarantined", alarm=True, host_id=host_id, peer=peer, why=verdict.quarantine)
            self._save(replace(record, quarantined_at=self._clock.now().wall_ms, quarantine_reason=verdict.quarantine))
            self._registry.disconnect(record.host_id, "quarantined")
        else:
            log.warning("connection refused", reason=verdict.code, host_id=host_id, peer=peer)
        raise error

    def _save(self, identity: HostIdentity) -> None:
        self._identities.put(identity)
        self._queue.put([SaveIdentity(identity)])
