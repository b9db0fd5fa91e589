"""A host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Host:
    """A machine with an agent.

    The store does not know whether the host is connected or when it was last heard of in this run; the fleet does.

    Attributes:
        host_id: Id of the host.
        hostname: The name in use: `given`, or else `claimed`.
        ip: Address that the agent reports, or else the one from which it connected.
        os: Operating system.
        arch: Processor architecture.
        version: Version of the agent.
        labels: Labels that operators have set.
        agent_labels: Labels that the agent reports.
        status: `online` or `offline` when the row was written. Nothing reads it.
        journal_id: Journal of the agent at its last Hello.
        boot_id: Boot of the machine at its last Hello.
        max_seq: The highest reserved dispatch number. Read only; SaveSeq writes it.
        max_epoch: The highest server epoch that the host reported. Read only; SaveSeq writes it.
        first_seen_at: When the host first connected.
        last_seen_at: When the host was last heard of, as stored. The fleet has newer values.
        last_heartbeat_at: Time of the last Hello that was written. Nothing reads it.
        created_at: When the row was created.
        updated_at: When the row last changed.
        claimed: The name that the agent reports.
        given: The name that an operator has set, or None.
        former: Earlier names, the last one first.
        replaced_by: Id of the host that has taken this host's place and name. A replaced host is found by its id only.
        replaced_at: When it was replaced.
    """

    host_id: str
    hostname: str
    ip: str = ""
    os: str = ""
    arch: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    agent_labels: Mapping[str, str] = field(default_factory=dict)
    status: str = "offline"
    journal_id: str | None = None
    boot_id: str | None = None
    max_seq: int = 0
    max_epoch: int = 0
    first_seen_at: int | None = None
    last_seen_at: int | None = None
    last_heartbeat_at: int | None = None
    created_at: int = 0
    updated_at: int = 0
    claimed: str = ""
    given: str | None = None
    former: tuple[str, ...] = ()
    replaced_by: str | None = None
    replaced_at: int | None = None
