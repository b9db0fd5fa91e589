"""Gives agents access: certificates, authentication and the enrolment port, and their renewal while the server runs."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio
from cryptography import x509

from proto.link import unary
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.registry import Registry
from server.ops.metrics import Metrics
from server.ports import Clock
from server.rpc.authenticate import HostAuthenticator
from server.rpc.enrolment.connections import EnrolmentConnections, EnrolmentPortLimits
from server.rpc.enrolment.service import Enrolment, EnrolmentSettings
from server.security import ca, ca_files, tls
from server.security.admit import Takeovers
from server.security.failure import InitFailed
from server.settings.schema import Settings
from server.store.base import Store
from server.store.writer import Writer

log = structlog.get_logger(__name__)

HANDSHAKE = 10.0
"""Time limit in seconds for a TLS handshake on the enrolment port."""
CALL = 15.0
"""Time limit in seconds for a call on the enrolment port, from its first byte to the response."""
UPKEEP_EVERY = 3600.0
"""Seconds between two checks of the certificates."""
WARN_DAYS = 60
"""Days before the expiry of a CA certificate from which the server logs a warning."""


class PortCounts:
    """Counts the events of one port in the metrics."""

    def __init__(self, metrics: Metrics, port: str) -> None:
        self._metrics = metrics
        self._port = port

    def refused(self, reason: str) -> None:
        """Count a refused connection or request."""
        self._metrics.refused.labels(self._port, reason).inc()

    def quarantined(self) -> None:
        """Count a host that was quarantined."""
        self._metrics.quarantines.inc()

    def wrong_token(self) -> None:
        """Count an attempt with a wrong token."""
        self._metrics.auth_failures.labels(self._port).inc()

    def issued(self, kind: str) -> None:
        """Count a certificate: `join`, `renewal`, or `pending` for a request that waits for approval."""
        self._metrics.certificates.labels(kind).inc()


class AgentAccess:
    """Certificates and authentication of agents.

    Attributes:
        agent_tls: TLS context of the agent port.
        gate: Authenticates hosts after the TLS handshake.
        pin: Pin of the CA.
        address: Host and port of the enrolment port while it is open.

    Raises:
        InitFailed: The CA is missing or damaged.
    """

    def __init__(
        self,
        settings: Settings,
        identities: Identities,
        registry: Registry,
        writer: Writer,
        clock: Clock,
        metrics: Metrics,
        requests: JoinRequests | None = None,
        limits: EnrolmentPortLimits | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._identities = identities
        self._registry = registry
        self._writer = writer
        self._requests = requests if requests is not None else JoinRequests()
        self._limits = limits or EnrolmentPortLimits()
        self._files = ca_files.CaFiles(settings.data)
        self._names = names(settings)
        ca_files.refresh_server(self._files, self._names, clock.now().wall_ms, os.urandom)
        self._issuing = ca_files.load_issuing(self._files)
        self._ends = metrics.certificate_ends
        self._show_ends()
        self.pin = ca_files.pin(self._files)
        try:
            self.agent_tls, self._enrol_tls = tls.agent_port_context(self._files), tls.enrolment_context(self._files)
        except OSError as error:
            raise _unusable(self._files, error) from error
        self._agent_counts, self._enrol_counts = PortCounts(metrics, "agent"), PortCounts(metrics, "enrol")
        takeovers = Takeovers(settings.enrol.max_takeovers, round(settings.enrol.takeover_window * 1000))
        self.gate = HostAuthenticator(
            identities,
            registry,
            writer,
            clock,
            self._agent_counts,
            takeovers,
            round(settings.enrol.renew_after_end * 1000),
        )
        self.address: tuple[str, int] | None = None

    def handshake_failed(self, peer: str, error: BaseException) -> None:
        """Log and count a failed TLS handshake on the agent port."""
        _log_refused("agent", self._agent_counts, peer, error)

    @asynccontextmanager
    async def serve(self, sock: socket.socket, agent_port: int, store: Store) -> AsyncIterator[None]:
        """Open the enrolment port on `sock` for the duration of the block.

        `agent_port` is the port number that the server gives to hosts that join.
        """
        ours = self._settings.enrol
        settings = EnrolmentSettings(
            ca.pem(ca_files.load_root(self._files)),
            round(ours.lifetime * 1000),
            ours.per_second,
            "",
            agent_port,
            ours.pending,
            round(ours.pending_ttl * 1000),
            ours.wrong_tokens,
        )
        enrolment = Enrolment(
            lambda: self._issuing,
            self._identities,
            self.gate,
            self._registry,
            store,
            self._writer,
            self._clock,
            os.urandom,
            settings,
            self._enrol_counts,
            self._requests,
        )
        host, port = sock.getsockname()[:2]
        self.address = (host, port)
        async with (
            unary.serve_calls(
                enrolment.handlers,
                sock,
                ssl=self._enrol_tls,
                deadline=CALL,
                handshake_timeout=HANDSHAKE,
                refused=lambda peer, error: _log_refused("enrol", self._enrol_counts, peer, error),
                connections=EnrolmentConnections(self._limits, self._enrol_counts.refused),
            ),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self.gate.run)
            nursery.start_soon(self._upkeep)
            yield
            nursery.cancel_scope.cancel()

    async def _upkeep(self) -> None:
        while True:
            self._warn()
            await trio.sleep(UPKEEP_EVERY)
            try:
                self.renew_certificates()
            except InitFailed as error:
                log.error("server_certificate_renewal_failed", error=str(error), hint=error.hint)

    def renew_certificates(self) -> None:
        """Load a new issuing CA, and replace the server's own certificate when it is due. Raises InitFailed."""
        self._issuing = ca_files.load_issuing(self._files)
        if ca_files.refresh_server(self._files, self._names, self._clock.now().wall_ms, os.urandom):
            for context in (self.agent_tls, self._enrol_tls):
                tls.reload(context, self._files)
            log.info("server_certificate_renewed", names=self._names)
        self._show_ends()

    def reload_certificates(self) -> None:
        """Read the CA and the server's certificate again; the next handshakes use them.

        Raises:
            InitFailed: A file is missing, damaged or does not go with the others. The old ones stay in use.
        """
        issuing = ca_files.load_issuing(self._files)
        try:
            tls.agent_port_context(self._files)  # a trial: a context with half of the new files could serve neither
            for context in (self.agent_tls, self._enrol_tls):
                tls.reload(context, self._files)
        except OSError as error:
            raise _unusable(self._files, error) from error
        self._issuing = issuing
        self._show_ends()

    def _show_ends(self) -> None:
        ends = {
            "ca": ca_files.load_root(self._files),
            "issuing": self._issuing.certificate,
            "server": ca_files.load_server(self._files),
        }
        for name, certificate in ends.items():
            self._ends.labels(name).set(certificate.not_valid_after_utc.timestamp())

    def _warn(self) -> None:
        for certificate, remedy in (
            (self._issuing.certificate, "run 'clarion-server ca renew'"),
            (ca_files.load_root(self._files), "see docs/design/security.md, rotation"),
        ):
            days = days_left(certificate, self._clock.now().wall_ms)
            if days < WARN_DAYS:
                log.warning(
                    "ca_certificate_expiring",
                    subject=certificate.subject.rfc4514_string(),
                    days=days,
                    remedy=remedy,
                )


def days_left(certificate: x509.Certificate, now_ms: int) -> int:
    """Return the whole days until a certificate expires."""
    return int((certificate.not_valid_after_utc.timestamp() * 1000 - now_ms) // ca_files.DAY_MS)


def names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the server's certificate."""
    given = settings.agent_port.names
    return ca_files.own_names() if given is None else tuple(name.strip() for name in given.split(","))


def _log_refused(port: str, counts: PortCounts, peer: str, error: BaseException) -> None:
    reason = tls.reason_of(error)
    counts.refused(reason)
    log.warning(
        "connection_refused",
        port=port,
        reason=reason,
        peer=peer,
        error=(error.reason if isinstance(error, ssl.SSLError) else None) or str(error),
    )


def _unusable(files: ca_files.CaFiles, error: OSError) -> InitFailed:
    return InitFailed(
        files.folder, f"holds certificates that cannot be used: {error}", "put the folder back from your backup"
    )
