"""The identities of all hosts, in memory and never older than the store. `security/admit.py` decides with them."""

from __future__ import annotations

from collections.abc import Iterable

from server.core.model import HostIdentity


class Identities:
    """Identities by host id."""

    def __init__(self, known: Iterable[HostIdentity] = ()) -> None:
        """Start with the identities of the store."""
        self._known = {identity.host_id: identity for identity in known}

    def get(self, host_id: str) -> HostIdentity | None:
        """Return a host's identity, or None."""
        return self._known.get(host_id)

    def put(self, identity: HostIdentity) -> None:
        """Add or replace an identity."""
        self._known[identity.host_id] = identity

    def remove(self, host_id: str) -> None:
        """Remove a host's identity."""
        self._known.pop(host_id, None)

    def __len__(self) -> int:
        """Return the number of identities."""
        return len(self._known)
