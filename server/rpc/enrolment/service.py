"""The enrolment service: a join token becomes a host with a certificate, a certificate becomes the next one."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from proto.common.token_bucket import TokenBucket
from proto.ids import is_id
from proto.link.errors import LinkRefused
from proto.link.unary import Call
from proto.messages import (
    AUTHORITY,
    ENROL,
    RENEW,
    AuthorityResponse,
    EnrolRequest,
    EnrolResponse,
    RenewRequest,
)
from server.core.effects import DeleteJoinRequest, Save, SaveHost, SaveIdentity, SaveJoinRequest, UseJoinToken
from server.core.model import HostIdentity, JoinRequest, JoinToken
from server.errors import ClarionError
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.registry import Registry
from server.ports import Clock, Commits, Entropy
from server.rpc.authenticate import HostAuthenticator
from server.rpc.enrolment.hosts import JoiningHosts
from server.rpc.enrolment.refusal import EnrolmentRefused, read_message, readable_name
from server.security import approval, ca
from server.security.attempts import Attempts
from server.security.rate import RatePerHost
from server.security.tls import identity_of
from server.security.tokens import BadToken, Kind, matches
from server.security.tokens import parse as parse_token
from server.store.base import Store, StoreUnavailable, TokenSpent

log = structlog.get_logger(__name__)

RENEWALS_AT_ONCE, RENEWALS_PER_LIFE, RENEWAL_EVERY = 6, 12, 30.0
"""Renewals of one host: at once, in the life of a certificate, and seconds between two in the long run.

A host needs one and a half in a certificate's life, and a few more when answers get lost.
"""
JOIN_PARTS = 2
"""Generations that are skipped when a host joins again, so that its older certificates, one of which the server may not
have seen, are all older.
"""


class EnrolmentMetrics(Protocol):
    """Metrics of the enrolment port."""

    def refused(self, reason: str) -> None: ...

    def wrong_token(self) -> None:
        """Count an unknown join token."""

    def issued(self, kind: str) -> None:
        """Count a certificate. kind: join or renewal, or pending for a join that waits for approval."""


@dataclass(frozen=True, slots=True)
class EnrolmentSettings:
    """Settings of the enrolment port.

    Attributes:
        root: the root certificate, PEM.
        lifetime_ms: lifetime of hosts' certificates.
        per_second: calls per second, of all hosts.
        agent_host: address of the agent port; empty for the address of the enrolment port.
        agent_port: number of the agent port.
        pending: joins that may wait for approval at once.
        pending_ms: how long a join may wait for approval.
        wrong_tokens: wrong tokens per minute from one address.
    """

    root: bytes
    lifetime_ms: int
    per_second: float
    agent_host: str
    agent_port: int
    pending: int = 100
    pending_ms: int = 86_400_000
    wrong_tokens: int = 20


class Enrolment:
    """Answers the calls of the enrolment port.

    Args:
        issuing: returns the issuing CA; called for each certificate, so that a new CA is used without a restart.
        identities: the known host identities.
        authenticator: checks certificates for renewal.
        registry: the known hosts.
        store: for join tokens.
        commits: the writer.
        clock: monotonic and wall time.
        entropy: random bytes.
        settings: of the port.
        counts: metrics.
        requests: joins that wait for approval.

    Attributes:
        handlers: path → handler, as proto.link.unary serves them.
    """

    def __init__(
        self,
        issuing: Callable[[], ca.Authority],
        identities: Identities,
        authenticator: HostAuthenticator,
        registry: Registry,
        store: Store,
        commits: Commits,
        clock: Clock,
        entropy: Entropy,
        settings: EnrolmentSettings,
        counts: EnrolmentMetrics,
        requests: JoinRequests,
    ) -> None:
        self._issuing = issuing
        self._identities = identities
        self._authenticator = authenticator
        self._registry = registry
        self._store = store
        self._commits = commits
        self._clock = clock
        self._entropy = entropy
        self._settings = settings
        self._counts = counts
        self._requests = requests
        self._rate = TokenBucket(settings.per_second, max(1.0, settings.per_second), clock.now().mono)
        self._attempts = Attempts(settings.wrong_tokens)
        self._per_host = RatePerHost(
            RENEWALS_AT_ONCE, max(RENEWAL_EVERY, settings.lifetime_ms / 1000 / RENEWALS_PER_LIFE)
        )
        self._hosts = JoiningHosts(identities, registry, entropy)
        self._joining: set[str] = set()
        self.handlers = {
            AUTHORITY: self._authority,
            ENROL: self._guarded(self._enrol, self._screen),
            RENEW: self._guarded(self._renew, self._screen_host),
        }

    async def _authority(self, call: Call) -> bytes:
        return bytes(AuthorityResponse(self._settings.root))

    async def _screen(self, call: Call) -> None:
        """Refuse a wrong token of an address that has sent many, before the call uses a part of `per_second`.

        A valid token is accepted from such an address too.

        Raises:
            EnrolmentRefused: the token is wrong.
        """
        wait = self._attempts.wait(approval.address_of(call.peer), "", self._clock.now().mono)
        if wait > 0 and await self._known(read_message(EnrolRequest, call.data).token) is None:
            self._counts.wrong_token()
            message = f"too many wrong join tokens came from this address; ask again in {math.ceil(wait)} s"
            raise EnrolmentRefused(
                "too_many_logins",
                message,
                hint="use the right token; a new one is made with 'clarion join-token create'",
            )

    async def _screen_host(self, call: Call) -> None:
        """Refuse a host that asks for too many certificates, before the call uses a part of `per_second`.

        TLS has verified the host's certificate.

        Raises:
            EnrolmentRefused: the host has used up its share.
        """
        identity = identity_of(call.certificate)
        if identity is not None and not self._per_host.allows(identity.host_id, self._clock.now().mono):
            raise EnrolmentRefused("renewed_too_often", host_id=identity.host_id)

    def _guarded(
        self, work: Callable[[Call], Awaitable[bytes]], screen: Callable[[Call], Awaitable[None]]
    ) -> Callable[[Call], Awaitable[bytes]]:
        """Wrap a handler: each refusal leaves one log line and one count, and reaches the caller as a status."""

        async def handle(call: Call) -> bytes:
            try:
                await screen(call)
                if not self._rate.allows(self._clock.now().mono):
                    raise EnrolmentRefused("enrolment_busy")
                if self._commits.full:
                    raise EnrolmentRefused("overloaded")
                return await work(call)
            except EnrolmentRefused as error:
                self._counts.refused(error.code)
                log.warning("enrolment_refused", reason=error.code, peer=call.peer, **error.details)
                refusal: ClarionError = error
            except StoreUnavailable as error:
                log.warning("enrolment_refused", reason="store_unavailable", peer=call.peer, error=str(error))
                refusal = ClarionError("store_unavailable")
            except ClarionError as error:  # already logged and counted
                refusal = error
            raise LinkRefused(refusal.problem.grpc, f"{refusal.code}: {refusal.message}; {refusal.hint}")

        return handle

    # --- joining ---

    async def _enrol(self, call: Call) -> bytes:
        request = read_message(EnrolRequest, call.data)
        now = self._clock.now().wall_ms
        token = await self._token(request.token, approval.address_of(call.peer))
        if not approval.is_within(call.peer, token.networks):
            raise EnrolmentRefused("join_elsewhere", token_id=token.token_id)
        asked_at = now
        saves = list[Save]()
        if token.approve:
            asked = await self._approved(request, token, call.peer, now)
            request = EnrolRequest(request.token, asked.csr, asked.hostname, asked.previous_host_id)
            asked_at = asked.created_at
            saves = [DeleteJoinRequest(asked.request_id)]
        elif now >= token.expires_at or token.uses_left < 1:
            raise EnrolmentRefused("join_refused", token_id=token.token_id)
        token_id = token.token_id
        labels = dict(token.labels)
        host_id = self._hosts.choose_id(request.previous_host_id, now)
        guard = {host_id, *(one.request_id for one in saves if isinstance(one, DeleteJoinRequest))}
        if guard & self._joining:
            raise EnrolmentRefused("host_enrolled", host_id=host_id)
        self._joining |= guard
        try:
            known = self._identities.get(host_id)
            generation = 1 if known is None else known.generation + JOIN_PARTS
            issued = self._issue(request.csr, host_id, generation, now)
            identity = HostIdentity(host_id, generation, generation, issued.serial, issued.not_after, now, token_id)
            host = self._hosts.joined(host_id, request.hostname, labels, now)
            replaced = self._hosts.replaced(host, token, now) if self._registry.host(host_id) is None else []
            for other in replaced:
                host = replace(host, labels={**other.labels, **host.labels})
            saves = [
                UseJoinToken(token_id, issued.serial, host_id, asked_at),
                SaveHost(host),
                *map(SaveHost, replaced),
                SaveIdentity(identity),
                *saves,
            ]
            try:
                await self._commits.commit(saves)
            except TokenSpent:
                raise EnrolmentRefused("join_refused", token_id=token_id) from None
            if self._identities.get(host_id) is not known:  # an operator changed it during the commit
                raise EnrolmentRefused("host_revoked", host_id=host_id)
            self._authenticator.forget(host_id)
            self._identities.put(identity)
            self._registry.put(host)
            for other in replaced:
                if other.host_id in self._registry.online():
                    continue  # it reconnected meanwhile, and its next Hello undoes the replacement
                self._registry.put(other)
                log.warning(
                    "host_replaced",
                    host_id=other.host_id,
                    replaced_by=host_id,
                    hostname=other.hostname,
                    token_id=token_id,
                )
            for name in guard:
                self._requests.remove(name)
        finally:
            self._joining -= guard
        self._counts.issued("join")
        log.info(
            "host_joined",
            host_id=host_id,
            hostname=host.hostname,
            generation=generation,
            token_id=token_id,
            peer=call.peer,
        )
        return self._answer(host_id, issued, generation)

    async def _token(self, text: str, address: str) -> JoinToken:
        """Return what is stored about this token. Its time and uses are checked in the transaction that uses it."""
        kept = await self._known(text)
        if kept is None:
            self._counts.wrong_token()
            self._attempts.failed(address, "", self._clock.now().mono)
            raise EnrolmentRefused("join_refused")
        return kept

    async def _known(self, text: str) -> JoinToken | None:
        try:
            token = parse_token(text, Kind.JOIN)
        except BadToken:
            return None
        kept = await self._store.join_token(token.id)
        return kept if matches(token.text, kept.digest if kept is not None else bytes(32)) else None

    async def _approved(self, request: EnrolRequest, token: JoinToken, peer: str, now: int) -> JoinRequest:
        """Return the join request of this host if an operator has approved it.

        A new request is committed, if its token is valid now, and the host is told to wait.

        Raises:
            EnrolmentRefused: the join is denied, or cannot be requested.
            ClarionError: the join waits for approval.
        """
        try:
            request_id = approval.request_id(token.token_id, request.csr)
        except ca.BadRequest as error:
            raise EnrolmentRefused("invalid_value", str(error)) from None
        known = self._requests.get(request_id, now)
        if known is None:
            if now >= token.expires_at or token.uses_left < 1:
                raise EnrolmentRefused("join_refused", token_id=token.token_id)
            known = await self._ask(request_id, request, token, peer, now)
        if known.state == "denied":
            raise EnrolmentRefused("join_denied", request_id=request_id)
        if known.state == "pending":
            raise ClarionError("join_pending", f"the join waits for an operator's approval as {request_id}")
        return known

    async def _ask(self, request_id: str, request: EnrolRequest, token: JoinToken, peer: str, now: int) -> JoinRequest:
        gone: list[Save] = [DeleteJoinRequest(one) for one in self._requests.take_expired(now)]
        if len(self._requests) >= self._settings.pending:
            raise EnrolmentRefused("join_queue_full", token_id=token.token_id)
        previous = request.previous_host_id if is_id(request.previous_host_id) else ""
        asked = JoinRequest(
            request_id,
            token.token_id,
            request.csr,
            readable_name(request.hostname),
            previous,
            approval.address_of(peer),
            now,
            now + self._settings.pending_ms,
        )
        self._requests.put(asked)
        try:
            await self._commits.commit([*gone, SaveJoinRequest(asked)])
        except BaseException:
            self._requests.remove(request_id)
            raise
        self._counts.issued("pending")
        log.warning(
            "join_waits_for_approval",
            request_id=request_id,
            hostname=asked.hostname,
            token_id=token.token_id,
            peer=peer,
        )
        return self._requests.get(request_id, now) or asked

    # --- renewing ---

    async def _renew(self, call: Call) -> bytes:
        request = read_message(RenewRequest, call.data)
        if call.certificate is None:
            raise EnrolmentRefused("certificate_unusable")
        identity = self._authenticator.check_renewal(call.certificate, call.peer)
        now = self._clock.now().wall_ms
        generation = identity.generation + 1
        issued = self._issue(request.csr, identity.host_id, generation, now)
        record = self._identities.get(identity.host_id)
        assert record is not None, "check_renewal refuses unknown hosts"
        renewed = replace(record, next_serial=issued.serial, next_not_after=issued.not_after, issued_at=now)
        # Stored in memory before the commit: of two concurrent renewals only the last counts, as in the database.
        self._identities.put(renewed)
        await self._commits.commit([SaveIdentity(renewed)])
        self._counts.issued("renewal")
        log.info("certificate_renewed", host_id=identity.host_id, generation=generation, peer=call.peer)
        return self._answer(identity.host_id, issued, generation)

    def _issue(self, csr: bytes, host_id: str, generation: int, now: int) -> ca.Issued:
        try:
            return ca.issue(
                self._issuing(), csr, host_id, generation, now, self._settings.lifetime_ms, self._entropy(20)
            )
        except ca.BadRequest as error:
            raise EnrolmentRefused("invalid_value", str(error)) from None

    def _answer(self, host_id: str, issued: ca.Issued, generation: int) -> bytes:
        ours = self._settings
        return bytes(
            EnrolResponse(
                host_id,
                issued.certificate,
                issued.chain,
                issued.not_after,
                generation,
                ours.agent_host,
                ours.agent_port,
                ours.lifetime_ms,
            )
        )
