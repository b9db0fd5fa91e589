"""Decides which host a joining machine becomes, and which hosts it replaces."""

from __future__ import annotations

from dataclasses import replace

import structlog

from proto.ids import is_id, uuid7
from server.core.inputs.hostnames import claimed, fault
from server.core.model import Host, JoinToken
from server.fleet.identities import Identities
from server.fleet.registry import Registry
from server.ports import Entropy
from server.rpc.enrolment.refusal import EnrolmentRefused, readable_name

log = structlog.get_logger(__name__)


class JoiningHosts:
    """Finds or makes the host of a joining machine."""

    def __init__(self, identities: Identities, registry: Registry, entropy: Entropy) -> None:
        self._identities = identities
        self._registry = registry
        self._entropy = entropy

    def choose_id(self, previous: str, now: int) -> str:
        """Return the id of the joining host: a new one, or its previous one.

        A host keeps its id only if an operator released it, or if it never had a certificate. Otherwise any machine
        with a token could become any host, with its labels and the commands sent to it.

        Raises:
            EnrolmentRefused: the previous id belongs to an enrolled or revoked host.
        """
        if not is_id(previous):
            return uuid7(now, self._entropy(10))
        known = self._identities.get(previous)
        if known is not None and known.state != "released":
            raise EnrolmentRefused("host_revoked" if known.state == "revoked" else "host_enrolled", host_id=previous)
        if known is None and self._registry.host(previous) is None:
            return uuid7(now, self._entropy(10))
        return previous

    def joined(self, host_id: str, hostname: str, labels: dict[str, str], now: int) -> Host:
        """Return the host with the token's labels; its name is the one it claims, if that is valid."""
        known = self._registry.host(host_id)
        if known is not None:
            return replace(known, labels={**known.labels, **labels}, updated_at=now)
        if (wrong := fault(hostname)) is not None:
            log.warning("hostname_invalid", host_id=host_id, claimed=readable_name(hostname), problem=wrong)
        return claimed(Host(host_id, "", labels=labels, created_at=now, updated_at=now), hostname)

    def replaced(self, host: Host, token: JoinToken, now: int) -> list[Host]:
        """Return the offline hosts of the same name, marked as replaced by this one.

        Only a token with `replace` allows that. Otherwise any machine with a token could receive the commands that are
        meant for an offline host. A host that is online keeps its name in any case.
        """
        directory, online = self._registry.directory, self._registry.online()
        others = [directory.hosts[other] for other in sorted(directory.all_named(host.hostname) - {host.host_id})]
        others = [other for other in others if other.replaced_by is None]
        if kept := [other.host_id for other in others if other.host_id in online or not token.replace]:
            log.warning(
                "hostname_taken",
                host_id=host.host_id,
                hostname=host.hostname,
                others=kept[:5],
                token_id=token.token_id,
            )
        return [
            replace(other, replaced_by=host.host_id, replaced_at=now) for other in others if other.host_id not in kept
        ]
