"""What a Hello tells of its host, kept: known at once, written only when something about it is new."""

from __future__ import annotations

from dataclasses import replace

from server.core.effects import SaveHost
from server.core.model import Host
from server.fleet.registry import Registry
from server.ports import Clock
from server.rpc.from_agent import Hello
from server.rpc.settings import Queue

REFRESH_MS = 600_000
"""A host that comes back with nothing new about it is written at most this often: ten thousand reconnects write nothing."""


class Memory:
    def __init__(self, registry: Registry, queue: Queue, clock: Clock) -> None:
        self._registry, self._queue, self._clock = registry, queue, clock

    def met(self, hello: Hello, peer: str) -> None:
        """peer: "address:port"."""
        now = self._clock.now().wall_ms
        known = self._registry.host(hello.host_id)
        host = known or Host(hello.host_id, hostname="", created_at=now)
        fresh = _told(host, hello, peer, now)
        if known is None or fresh != known or now - (known.last_seen_at or 0) > REFRESH_MS:
            fresh = replace(fresh, last_seen_at=now, last_heartbeat_at=now, updated_at=now, status="online")
            self._queue.put([SaveHost(fresh)])
        self._registry.put(fresh)


def _told(host: Host, hello: Hello, peer: str, now: int) -> Host:
    facts = hello.facts
    return replace(
        host,
        hostname=_name(facts.hostname) or host.hostname or hello.host_id,
        ip=_name(facts.ip) or peer.rpartition(":")[0],
        os=_name(facts.os),
        arch=_name(facts.arch),
        version=_name(facts.version),
        agent_labels={_name(k): _name(v) for k, v in list(facts.labels.items())[:64] if _name(k)},
        journal_id=hello.journal_id,
        boot_id=hello.boot_id,
        first_seen_at=host.first_seen_at or now,
    )


def _name(text: str) -> str:
    """Claims of an agent, kept short and printable."""
    return "".join(c for c in text[:256] if c.isprintable())
