"""Every host's identity, in memory: what `security/admit.py` decides upon. The store has it too; this is never
behind."""

from __future__ import annotations

from collections.abc import Iterable

from server.core.model import HostIdentity


class Identities:
    """host_id → HostIdentity."""

    def __init__(self, known: Iterable[HostIdentity] = ()) -> None:
        self._known = {identity.host_id: identity for identity in known}

    def get(self, host_id: str) -> HostIdentity | None:
        return self._known.get(host_id)

    def put(self, identity: HostIdentity) -> None:
        self._known[identity.host_id] = identity

    def remove(self, host_id: str) -> None:
        self._known.pop(host_id, None)

    def __len__(self) -> int:
        return len(self._known)
