"""Records of joining: tokens, requests and the identities of hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token with which hosts join, without its text.

    Attributes:
        token_id: Id of the token.
        digest: SHA-256 of the token's text.
        expires_at: When the token expires.
        uses_left: Further hosts that may join with it.
        labels: Labels for every host that joins with it.
        created_by: The operator.
        created_at: When it was created.
        networks: CIDR blocks from which hosts may join; empty for any address.
        approve: An operator must approve each join.
        replace: A host that joins replaces offline hosts with the same name.
    """

    token_id: str
    digest: bytes
    expires_at: int
    uses_left: int
    labels: Mapping[str, str]
    created_by: str
    created_at: int
    networks: tuple[str, ...] = ()
    approve: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A join that waits for an operator's decision.

    Attributes:
        request_id: Derived from the token and the host's key, see server/security/approval.py.
        token_id: Id of the token.
        csr: The certificate request from the host, PEM or DER.
        hostname: The host's name.
        previous_host_id: The id that the host had before, or empty.
        address: Address from which the request came.
        created_at: When the request arrived.
        expires_at: When the request expires.
        decided_at: When an operator decided.
        decided_by: The operator who decided.
        approved: The decision.
    """

    request_id: str
    token_id: str
    csr: bytes
    hostname: str
    previous_host_id: str
    address: str
    created_at: int
    expires_at: int
    decided_at: int | None = None
    decided_by: str | None = None
    approved: bool = False

    @property
    def state(self) -> str:
        """`pending`, `approved` (the host may join once) or `denied`."""
        if self.decided_at is None:
            return "pending"
        return "approved" if self.approved else "denied"


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """The certificates of a host. Serial numbers are lower-case hex.

    Attributes:
        host_id: Id of the host.
        generation: Generation of the newest certificate that was seen in use, or of the one given at the join.
        joined_generation: Generation of the first certificate since the last join. Older ones are not accepted.
        serial: Serial number of that newest certificate.
        not_after: When that certificate expires.
        issued_at: When that certificate was issued.
        token_id: Token with which the host joined.
        next_serial: Serial number of a certificate of the next generation that was issued and not yet seen in use.
        next_not_after: When that certificate expires.
        revoked_at: When the host was revoked.
        revoked_by: The operator who revoked it.
        quarantined_at: When the host was quarantined.
        quarantine_reason: Why it was quarantined.
        released_at: When it was released to join again.
    """

    host_id: str
    generation: int
    joined_generation: int
    serial: str
    not_after: int
    issued_at: int
    token_id: str
    next_serial: str | None = None
    next_not_after: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None
    quarantined_at: int | None = None
    quarantine_reason: str | None = None
    released_at: int | None = None

    @property
    def state(self) -> str:
        """`enrolled`, `revoked`, `quarantined` or `released` (may join again and is refused until then)."""
        if self.released_at is not None:
            return "released"
        if self.revoked_at is not None:
            return "revoked"
        return "quarantined" if self.quarantined_at is not None else "enrolled"
