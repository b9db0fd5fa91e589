"""Stores the host facts from a Hello, and writes them to the database only when they changed."""

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
from server.rpc.settings import WriterQueue

log = structlog.get_logger(__name__)

MAX_TEXT = 256
"""Characters of a fact that are kept."""

SAVES_PER_MINUTE, MINUTE = 10, 60.0
"""Times per minute that changed facts of one host are written. This bounds the cost of a host whose facts change with
each Hello.
"""


class HostRecorder:
    """Keeps the registry's hosts up to date with what their agents report."""

    def __init__(self, registry: Registry, queue: WriterQueue, clock: Clock) -> None:
        self._registry = registry
        self._queue = queue
        self._clock = clock
        self._saved: dict[str, deque[float]] = {}

    def record_hello(self, hello: Hello, peer: str) -> None:
        """Update the host from its Hello.

        Args:
            hello: the accepted Hello.
            peer: "address:port".
        """
        now = self._clock.now().wall_ms
        known = self._registry.host(hello.host_id)
        host = known or Host(hello.host_id, hostname="", created_at=now)
        fresh = claimed(_with_facts(host, hello, peer, now), hello.facts.hostname)
        if (problem := fault(hello.facts.hostname)) is not None:
            log.warning(
                "hostname_invalid",
                host_id=host.host_id,
                claimed=escaped(hello.facts.hostname[:MAX_TEXT]),
                problem=problem,
                hostname=fresh.hostname,
            )
        if fresh.replaced_by is not None:
            log.warning(
                "replaced_host_connected",
                host_id=host.host_id,
                hostname=fresh.hostname,
                replaced_by=fresh.replaced_by,
            )
            fresh = replace(fresh, replaced_by=None, replaced_at=None)
        if known is None or (fresh != known and self._may_save(hello.host_id)):
            fresh = replace(fresh, last_seen_at=now, last_heartbeat_at=now, updated_at=now, status="online")
            self._queue.put([SaveHost(fresh)])
        self._registry.put(fresh)

    def _may_save(self, host_id: str) -> bool:
        """True if this host has used less than its writes per minute.

        Facts that are not written are kept in memory. After a restart of the server the host sends them again.
        """
        now = self._clock.now().mono
        saved = self._saved.setdefault(host_id, deque(maxlen=SAVES_PER_MINUTE))
        if len(saved) == SAVES_PER_MINUTE and now - saved[0] < MINUTE:
            return False
        saved.append(now)
        return True


def _with_facts(host: Host, hello: Hello, peer: str, now: int) -> Host:
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
    """Escape and shorten a claim of an agent."""
    return escaped(claim[:MAX_TEXT])[:MAX_TEXT]
