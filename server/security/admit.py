"""Decides whether a certificate may open a session for a host, and detects copied identities.

Each renewal raises the generation by one. Generations g and g+1 are both valid until g+1 has been used, because the
response to a renewal may be lost. Then g is invalid. Of generation g+1 only the last issued certificate counts: a host
repeats a renewal only if it did not receive the previous certificate, so another agent must be using that one.

A copied identity is detected at the latest when it renews: the second of the two agents shows an old generation or a
serial number that is not the last one. Before that, both cannot stay connected unnoticed. The server sees two journals
at once, a boot id that was already replaced, or sessions that replace each other repeatedly.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.core.model import HostIdentity
from server.security.ca import Identity


@dataclass(frozen=True, slots=True)
class Takeovers:
    """Limit on new sessions while an older session of the host is open, as happens after a network failure.

    Attributes:
        most: Allowed number of such sessions.
        within_ms: Period in which they are counted.
    """

    most: int = 6
    within_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Claim:
    """The identity that a Hello claims."""

    host_id: str
    journal_id: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """Earlier sessions of a host.

    Attributes:
        journal_id: Journal of the open session; None if no session is open.
        boot_id: Boot id of the last session.
        former_boots: Boot ids of the sessions before.
        takeovers: Wall-clock milliseconds at which a session was opened while another was open, oldest first.
    """

    journal_id: str | None = None
    boot_id: str = ""
    former_boots: tuple[str, ...] = ()
    takeovers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Admit:
    """The host may connect.

    Attributes:
        confirms: The certificate is of the next generation, so the older generation becomes invalid.
        ahead: The certificate is newer than any that the database knows, so the database was restored from an older
            copy. The caller records the certificate.
    """

    confirms: bool = False
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """The host may not connect.

    Attributes:
        code: An error code of server/errors.py.
        quarantine: Reason for which the host must be quarantined; None if it must not.
    """

    code: str
    quarantine: str | None = None


def check_certificate(
    identity: Identity | None, record: HostIdentity | None, now_ms: int, after_end_ms: int = 0
) -> Admit | Refuse:
    """Decide whether a certificate is valid at this moment.

    Args:
        identity: Content of the certificate; None if it is not a host's.
        record: The stored identity of the host.
        now_ms: Wall-clock milliseconds.
        after_end_ms: Milliseconds after its expiry for which the certificate is still accepted, for renewals.
    """
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
    """Decide whether a connection becomes a session of the host that its Hello names."""
    if identity is not None and claim.host_id != identity.host_id:
        return Refuse("identity_mismatch")
    verdict = check_certificate(identity, record, now_ms)
    if isinstance(verdict, Refuse):
        return verdict
    if live.journal_id is not None and live.journal_id != claim.journal_id:
        return Refuse("host_quarantined", "two agents with different journals are connected with one identity")
    if live.journal_id is not None and claim.boot_id in live.former_boots:
        return Refuse("host_quarantined", "an agent reconnected from an earlier boot: two machines share one identity")
    recent = [at for at in live.takeovers if now_ms - at < takeovers.within_ms]
    if live.journal_id is not None and len(recent) >= takeovers.most:
        return Refuse(
            "host_quarantined",
            (
                f"two agents replace each other's session repeatedly: {len(recent)} times in "
                f"{takeovers.within_ms / 1000:g} s"
            ),
        )
    return verdict
