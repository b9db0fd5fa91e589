"""The enrolment port: a join token becomes a host with a certificate, a certificate becomes the next one."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from proto.common.token_bucket import TokenBucket
from proto.ids import is_id, uuid7
from proto.link.errors import LinkRefused
from proto.link.unary import Call
from proto.messages import (
    AUTHORITY,
    ENROL,
    RENEW,
    AuthorityResponse,
    EnrolRequest,
    EnrolResponse,
    M,
    MalformedMessage,
    RenewRequest,
    parse,
)
from proto.readable import escaped
from server.core.effects import DeleteJoinRequest, Save, SaveHost, SaveIdentity, SaveJoinRequest, UseJoinToken
from server.core.inputs.hostnames import claimed, fault
from server.core.model import Host, HostIdentity, JoinRequest, JoinToken
from server.errors import ClarionError
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.registry import Registry
from server.ports import Clock, Commits, Entropy
from server.rpc.authenticate import HostAuthenticator
from server.security import approval, ca
from server.security.attempts import Attempts
from server.security.rate import RatePerHost
from server.security.tls import identity_of
from server.security.tokens import BadToken, Kind, matches
from server.security.tokens import parse as parse_token
from server.store.base import Store, StoreUnavailable, TokenSpent

log = structlog.get_logger("rpc.enrolment")

RENEWALS_AT_ONCE, RENEWALS_PER_LIFE, RENEWAL_EVERY = 6, 12, 30.0
"""A host may ask for so many certificates at once and so many in a certificate's life, but not more often than each 30
s in the long run. It needs
one and a half in a life, and a few more where answers get lost."""
JOIN_PARTS = 2
"""Generations that a host skips when it joins again: its older certificates, one of them perhaps never seen, are then
all older."""


class EnrolmentMetrics(Protocol):
    """Metrics of the enrolment port."""

    def refused(self, reason: str) -> None: ...

    def wrong_token(self) -> None:
        """A join token that is not known."""

    def issued(self, kind: str) -> None:
        """kind: join or renewal; pending: a join that waits for approval."""


@dataclass(frozen=True, slots=True)
class EnrolmentSettings:
    """root: the root certificate, PEM. lifetime_ms: of hosts' certificates. agent_host: empty for the host that was
    dialled.
    pending: joins that may wait for an operator's word at once, and pending_ms: for how long. wrong_tokens: from one
    address, a minute."""

    root: bytes
    lifetime_ms: int
    per_second: float
    agent_host: str
    agent_port: int
    pending: int = 100
    pending_ms: int = 86_400_000
    wrong_tokens: int = 20


class Enrolment:
    """`handlers` is what proto.link.unary serves."""

    def __init__(
        self,
        issuing: Callable[[], ca.Authority],
        identities: Identities,
        gate: HostAuthenticator,
        registry: Registry,
        store: Store,
        commits: Commits,
        clock: Clock,
        entropy: Entropy,
        settings: EnrolmentSettings,
        counts: EnrolmentMetrics,
        requests: JoinRequests,
    ) -> None:
        """issuing: read anew for each certificate, so that a new issuing CA is taken over without a restart."""
        self._issuing, self._identities, self._gate, self._registry = issuing, identities, gate, registry
        self._store, self._commits, self._clock, self._entropy = store, commits, clock, entropy
        self._settings, self._counts, self._requests = settings, counts, requests
        self._rate = TokenBucket(settings.per_second, max(1.0, settings.per_second), clock.now().mono)
        self._attempts = Attempts(settings.wrong_tokens)
        self._per_host = RatePerHost(
            RENEWALS_AT_ONCE, max(RENEWAL_EVERY, settings.lifetime_ms / 1000 / RENEWALS_PER_LIFE)
        )
        self._joining: set[str] = set()
        self.handlers = {
            AUTHORITY: self._authority,
            ENROL: self._guarded(self._enrol, self._screen),
            RENEW: self._guarded(self._renew, self._screen_host),
        }

    async def _authority(self, call: Call) -> bytes:
        return bytes(AuthorityResponse(self._settings.root))

    async def _screen(self, call: Call) -> None:
        """Before a call takes its share of `per_second`, which is for all hosts: an address that has sent many wrong
        tokens gets no further one
        of them that far. A right token is let through from there too. Raises _Refused."""
        wait = self._attempts.wait(approval.address_of(call.peer), "", self._clock.now().mono)
        if wait > 0 and await self._known(_read(EnrolRequest, call.data).token) is None:
            self._counts.wrong_token()
            message = f"too many wrong join tokens came from this address; ask again in {math.ceil(wait)} s"
            raise _Refused(
                "too_many_logins",
                message,
                hint="use the right token; a new one is made with 'clarion join-token create'",
            )

    async def _screen_host(self, call: Call) -> None:
        """A host that asks for certificates again and again uses up its own share, and nothing of that of all. TLS has
        checked who it is."""
        identity = identity_of(call.certificate)
        if identity is not None and not self._per_host.allows(identity.host_id, self._clock.now().mono):
            raise _Refused("renewed_too_often", host_id=identity.host_id)

    def _guarded(
        self, work: Callable[[Call], Awaitable[bytes]], screen: Callable[[Call], Awaitable[None]]
    ) -> Callable[[Call], Awaitable[bytes]]:
        """Every refusal leaves one line and one count, and reaches the caller as a status."""

        async def handle(call: Call) -> bytes:
            try:
                await screen(call)
                if not self._rate.allows(self._clock.now().mono):
                    raise _Refused("enrolment_busy")
                if self._commits.full:
                    raise _Refused("overloaded")
                return await work(call)
            except _Refused as error:
                self._counts.refused(error.code)
                log.warning("enrolment refused", reason=error.code, peer=call.peer, **error.details)
                refusal: ClarionError = error
            except StoreUnavailable as error:
                log.warning("enrolment refused", reason="store_unavailable", peer=call.peer, error=str(error))
                refusal = ClarionError("store_unavailable")
            except ClarionError as error:  # the gate has told it already
                refusal = error
            raise LinkRefused(refusal.problem.grpc, f"{refusal.code}: {refusal.message}; {refusal.hint}")

        return handle

    # --- joining
    # -----------------------------------------------------------------------------------------------------------

    async def _enrol(self, call: Call) -> bytes:
        request = _read(EnrolRequest, call.data)
        now = self._clock.now().wall_ms
        token = await self._token(request.token, approval.address_of(call.peer))
        if not approval.is_within(call.peer, token.networks):
            raise _Refused("join_elsewhere", token_id=token.token_id)
        asked_at, saves = now, list[Save]()
        if token.approve:
            asked = await self._approved(request, token, call.peer, now)
            request = EnrolRequest(request.token, asked.csr, asked.hostname, asked.previous_host_id)
            asked_at, saves = asked.created_at, [DeleteJoinRequest(asked.request_id)]
        elif now >= token.expires_at or token.uses_left < 1:
            raise _Refused("join_refused", token_id=token.token_id)
        token_id, labels = token.token_id, dict(token.labels)
        host_id = self._host_for(request.previous_host_id, now)
        guard = {host_id, *(one.request_id for one in saves if isinstance(one, DeleteJoinRequest))}
        if guard & self._joining:
            raise _Refused("host_enrolled", host_id=host_id)
        self._joining |= guard
        try:
            known = self._identities.get(host_id)
            generation = 1 if known is None else known.generation + JOIN_PARTS
            issued = self._issue(request.csr, host_id, generation, now)
            identity = HostIdentity(host_id, generation, generation, issued.serial, issued.not_after, now, token_id)
            host = self._host(host_id, request.hostname, labels, now)
            replaced = self._replaced(host, token, now) if self._registry.host(host_id) is None else []
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
                raise _Refused("join_refused", token_id=token_id) from None
            if self._identities.get(host_id) is not known:  # an operator was quicker
                raise _Refused("host_revoked", host_id=host_id)
            self._gate.forget(host_id)
            self._identities.put(identity)
            self._registry.put(host)
            for other in replaced:
                if other.host_id in self._registry.online():
                    continue  # it came back meanwhile, and its next Hello takes back what was written
                self._registry.put(other)
                log.warning(
                    "host replaced",
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
            "host joined",
            host_id=host_id,
            hostname=host.hostname,
            generation=generation,
            token_id=token_id,
            peer=call.peer,
        )
        return self._answer(host_id, issued, generation)

    async def _token(self, text: str, address: str) -> JoinToken:
        """What is kept of this token. Its time and uses count when one is taken, in the transaction."""
        kept = await self._known(text)
        if kept is None:
            self._counts.wrong_token()
            self._attempts.failed(address, "", self._clock.now().mono)
            raise _Refused("join_refused")
        return kept

    async def _known(self, text: str) -> JoinToken | None:
        try:
            token = parse_token(text, Kind.JOIN)
        except BadToken:
            return None
        kept = await self._store.join_token(token.id)
        return kept if matches(token.text, kept.digest if kept is not None else bytes(32)) else None

    async def _approved(self, request: EnrolRequest, token: JoinToken, peer: str, now: int) -> JoinRequest:
        """What an operator has approved of this host; its token must have been good when it first asked. Otherwise it
        is kept,
        committed, and the host told to wait."""
        try:
            request_id = approval.request_id(token.token_id, request.csr)
        except ca.BadRequest as error:
            raise _Refused("invalid_value", str(error)) from None
        known = self._requests.get(request_id, now)
        if known is None:
            if now >= token.expires_at or token.uses_left < 1:
                raise _Refused("join_refused", token_id=token.token_id)
            known = await self._ask(request_id, request, token, peer, now)
        if known.state == "denied":
            raise _Refused("join_denied", request_id=request_id)
        if known.state == "pending":
            raise ClarionError("join_pending", f"the join waits for an operator's approval as {request_id}")
        return known

    async def _ask(self, request_id: str, request: EnrolRequest, token: JoinToken, peer: str, now: int) -> JoinRequest:
        gone: list[Save] = [DeleteJoinRequest(one) for one in self._requests.take_expired(now)]
        if len(self._requests) >= self._settings.pending:
            raise _Refused("join_queue_full", token_id=token.token_id)
        previous = request.previous_host_id if is_id(request.previous_host_id) else ""
        asked = JoinRequest(
            request_id,
            token.token_id,
            request.csr,
            _name(request.hostname),
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
            "a host waits for approval",
            request_id=request_id,
            hostname=asked.hostname,
            token_id=token.token_id,
            peer=peer,
        )
        return self._requests.get(request_id, now) or asked

    def _host_for(self, previous: str, now: int) -> str:
        """A host that was here keeps its id only if an operator has said so, or if it has never had a certificate:
        otherwise
        whoever has a token could take over any host, its labels and what is sent to it."""
        if not is_id(previous):
            return uuid7(now, self._entropy(10))
        known = self._identities.get(previous)
        if known is not None and known.state != "released":
            raise _Refused("host_revoked" if known.state == "revoked" else "host_enrolled", host_id=previous)
        if known is None and self._registry.host(previous) is None:
            return uuid7(now, self._entropy(10))
        return previous

    def _host(self, host_id: str, hostname: str, labels: dict[str, str], now: int) -> Host:
        known = self._registry.host(host_id)
        if known is not None:
            return replace(known, labels={**known.labels, **labels}, updated_at=now)
        if (wrong := fault(hostname)) is not None:
            log.warning(f"the name that a host joins under {wrong}", host_id=host_id, claimed=_name(hostname))
        return claimed(Host(host_id, "", labels=labels, created_at=now, updated_at=now), hostname)

    def _replaced(self, host: Host, token: JoinToken, now: int) -> list[Host]:
        """The hosts of this name whose place it takes. Only an operator can allow that, with the token: otherwise
        whoever has one could be sent what
        is meant for any host that is offline. A host that is online keeps its name whatever the token says."""
        directory, online = self._registry.directory, self._registry.online()
        others = [directory.hosts[other] for other in sorted(directory.all_named(host.hostname) - {host.host_id})]
        others = [other for other in others if other.replaced_by is None]
        if kept := [other.host_id for other in others if other.host_id in online or not token.replace]:
            log.warning(
                "a host joins under the name of another one",
                host_id=host.host_id,
                hostname=host.hostname,
                others=kept[:5],
                token_id=token.token_id,
            )
        return [
            replace(other, replaced_by=host.host_id, replaced_at=now) for other in others if other.host_id not in kept
        ]

    # --- renewing
    # ----------------------------------------------------------------------------------------------------------

    async def _renew(self, call: Call) -> bytes:
        request = _read(RenewRequest, call.data)
        if call.certificate is None:
            raise _Refused("certificate_unusable")
        identity = self._gate.check_renewal(call.certificate, call.peer)
        now, generation = self._clock.now().wall_ms, identity.generation + 1
        issued = self._issue(request.csr, identity.host_id, generation, now)
        record = self._identities.get(identity.host_id)
        assert record is not None, "the gate has looked"
        renewed = replace(record, next_serial=issued.serial, next_not_after=issued.not_after, issued_at=now)
        # Known before it is committed: if two ask at once, only the last one given out counts, in memory as in the
        # store.
        self._identities.put(renewed)
        await self._commits.commit([SaveIdentity(renewed)])
        self._counts.issued("renewal")
        log.info("certificate renewed", host_id=identity.host_id, generation=generation, peer=call.peer)
        return self._answer(identity.host_id, issued, generation)

    def _issue(self, csr: bytes, host_id: str, generation: int, now: int) -> ca.Issued:
        try:
            return ca.issue(
                self._issuing(), csr, host_id, generation, now, self._settings.lifetime_ms, self._entropy(20)
            )
        except ca.BadRequest as error:
            raise _Refused("invalid_value", str(error)) from None

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


def _name(hostname: str) -> str:
    return escaped(hostname[:255])[:255]


class _Refused(ClarionError):
    """Not told yet. details: for the log."""

    def __init__(self, code: str, message: str | None = None, hint: str | None = None, **details: object) -> None:
        super().__init__(code, message, hint=hint, details=details)


def _read(kind: type[M], data: bytes) -> M:
    try:
        return parse(kind, data)
    except MalformedMessage as error:
        raise _Refused("malformed_message", str(error)) from None
