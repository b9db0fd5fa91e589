"""Who may connect as which host: a pure decision, read from top to bottom.

Every renewal raises the generation by one. Certificates of generation g and g+1 are both good until g+1 has been seen,
because
the answer to a renewal may get lost; from then on g is no longer. Of generation g+1 only the last certificate given out
counts: a host asks again only when it has not got the one before, so whoever shows that one is somebody else.

Why a copy of an identity is found out: it must renew too, and whoever of the two comes second shows either a generation
that
is over or a serial number that is not the last one. Until then, both cannot stay connected without showing it: two
journals
at once, a boot that was over and is back, or taking over from each other again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.core.model import HostIdentity
from server.security.ca import Identity


@dataclass(frozen=True, slots=True)
class Takeovers:
    """A host whose network breaks may find its older session still open, and take over from it; not again and again."""

    most: int = 6
    within_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Claim:
    """What the Hello says of itself."""

    host_id: str
    journal_id: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """What is known of this host's sessions. journal_id is that of the open one, None when none is open.

    boot_id: of the last one. former_boots: of those before. takeovers: wall-clock times, ms, at which a session was
    opened
    while one was open, the newest last.
    """

    journal_id: str | None = None
    boot_id: str = ""
    former_boots: tuple[str, ...] = ()
    takeovers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Admit:
    """confirms: the certificate is of the next generation, and the older one is over now. ahead: it is newer than
    anything
    that the database knows of, so the database was set back: take it over."""

    confirms: bool = False
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """code: of server/errors.py. quarantine: why this host must be locked out altogether, if so."""

    code: str
    quarantine: str | None = None


def check_certificate(
    identity: Identity | None, record: HostIdentity | None, now_ms: int, after_end_ms: int = 0
) -> Admit | Refuse:
    """Whether the certificate by itself is good at this moment. after_end_ms: how long after its end it still is, for
    the next one."""
    if identity is None:
        return Refuse("certificate_unusable")
    if now_ms >= identity.not_after + after_end_ms:
        return Refuse("certificate_expired")
    if record is None:
        return Refuse("host_not_enrolled")
    assert record.host_id == identity.host_id
    if record.state != "enrolled":
        return Refuse(
            {"released": "host_must_join", "revoked": "host_revoked", "quarantined": "host_quarantined"}[record.state]
        )
    if identity.generation < record.joined_generation:
        return Refuse("identity_replaced")
    if identity.generation < record.generation:
        return Refuse(
            "host_quarantined",
            (
                f"a certificate of generation {identity.generation} was shown after generation {record.generation} "
                f"was in use"
            ),
        )
    if identity.generation == record.generation:
        if identity.serial == record.serial:
            return Admit()
        return Refuse("host_quarantined", f"two certificates of generation {identity.generation} are in use")
    if identity.generation == record.generation + 1 and record.next_serial is not None:
        if identity.serial == record.next_serial:
            return Admit(confirms=True)
        return Refuse("host_quarantined", f"generation {record.generation} was renewed by two agents")
    return Admit(ahead=True)


def decide_admission(
    identity: Identity | None,
    record: HostIdentity | None,
    claim: Claim,
    live: SessionHistory,
    now_ms: int,
    takeovers: Takeovers,
) -> Admit | Refuse:
    """Whether a connection becomes a session of the host that its Hello names."""
    if identity is not None and claim.host_id != identity.host_id:
        return Refuse("identity_mismatch")
    verdict = check_certificate(identity, record, now_ms)
    if isinstance(verdict, Refuse):
        return verdict
    if live.journal_id is not None and live.journal_id != claim.journal_id:
        return Refuse("host_quarantined", "two agents with different journals are connected with one identity")
    if live.journal_id is not None and claim.boot_id in live.former_boots:
        return Refuse(
            "host_quarantined", "an agent came back from a boot that was over: two machines share one identity"
        )
    recent = [at for at in live.takeovers if now_ms - at < takeovers.within_ms]
    if live.journal_id is not None and len(recent) >= takeovers.most:
        return Refuse(
            "host_quarantined",
            (
                f"two agents take over from each other again and again: {len(recent)} times in "
                f"{takeovers.within_ms / 1000:g} s"
            ),
        )
    return verdict
