"""What a Hello tells of its host, kept: known at once, written only when something about it is new."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import structlog

from proto.readable import escaped
from server.core.effects import SaveHost
from server.core.inputs.hostnames import claimed, fault
from server.core.model import Host
from server.fleet.registry import Registry
from server.ports import Clock
from server.rpc.session.hello import Hello
from server.rpc.settings import Queue

log = structlog.get_logger("rpc.remember")

LONGEST = 256

WRITES, MINUTE = 10, 60.0
"""Times per minute that changes of one host's facts are written: a host that is another machine with each Hello costs
no more than that."""


class HostRecorder:
    def __init__(self, registry: Registry, queue: Queue, clock: Clock) -> None:
        self._registry, self._queue, self._clock = registry, queue, clock
        self._written: dict[str, deque[float]] = {}

    def record_hello(self, hello: Hello, peer: str) -> None:
        """peer: "address:port"."""
        now = self._clock.now().wall_ms
        known = self._registry.host(hello.host_id)
        host = known or Host(hello.host_id, hostname="", created_at=now)
        fresh = claimed(_told(host, hello, peer, now), hello.facts.hostname)
        if (wrong := fault(hello.facts.hostname)) is not None:
            log.warning(
                f"the name that an agent claims {wrong}",
                host_id=host.host_id,
                claimed=escaped(hello.facts.hostname[:LONGEST]),
                hostname=fresh.hostname,
            )
        if fresh.replaced_by is not None:
            log.warning(
                "a host that was replaced is back",
                host_id=host.host_id,
                hostname=fresh.hostname,
                replaced_by=fresh.replaced_by,
            )
            fresh = replace(fresh, replaced_by=None, replaced_at=None)
        if known is None or (fresh != known and self._may_write(hello.host_id)):
            fresh = replace(fresh, last_seen_at=now, last_heartbeat_at=now, updated_at=now, status="online")
            self._queue.put([SaveHost(fresh)])
        self._registry.put(fresh)

    def _may_write(self, host_id: str) -> bool:
        """Whether this host has not told of changes WRITES times within the last minute. What is not written is known
        until the next start,
        when the host says it again."""
        now = self._clock.now().mono
        written = self._written.setdefault(host_id, deque(maxlen=WRITES))
        if len(written) == WRITES and now - written[0] < MINUTE:
            return False
        written.append(now)
        return True


def _told(host: Host, hello: Hello, peer: str, now: int) -> Host:
    facts = hello.facts
    return replace(
        host,
        ip=_text(facts.ip) or peer.rpartition(":")[0],
        os=_text(facts.os),
        arch=_text(facts.arch),
        version=_text(facts.version),
        agent_labels={_text(k): _text(v) for k, v in list(facts.labels.items())[:64] if _text(k)},
        journal_id=hello.journal_id,
        boot_id=hello.boot_id,
        first_seen_at=host.first_seen_at or now,
    )


def _text(claim: str) -> str:
    """A claim of an agent, kept short and visible."""
    return escaped(claim[:LONGEST])[:LONGEST]
