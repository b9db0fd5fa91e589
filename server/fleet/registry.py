"""Who is known and who is connected. All of it in memory: no list of hosts, and no heartbeat, touches the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

import trio

from server.core.effects import Cut, Welcome
from server.core.model import Host
from server.core.selectors.inventory import HostDirectory
from server.fleet.session import OutboxLimits, Outgoing, Session
from server.fleet.watching import OutputWatches, WatchLimits
from server.ports import HostPresence


class Registry:
    """A ports.Fleet, and the conductor's outboxes."""

    def __init__(
        self, limits: OutboxLimits | None = None, *, epoch: int = 0, watching: WatchLimits | None = None
    ) -> None:
        """epoch: of this start of the server; session numbers of different starts never meet."""
        self._limits = limits or OutboxLimits()
        self.directory = HostDirectory()
        self._sessions: dict[str, Session] = {}
        self._offline: set[str] = set()
        """Ids of known hosts, but for those that were replaced, without a session."""
        self._numbers = epoch << 32
        self._left = trio.Event()
        self._seen: dict[str, int] = {}
        self._unsaved: dict[str, int] = {}
        self.changes = 0
        self.watching = OutputWatches(self.session, watching or WatchLimits())
        """Output while it comes."""

    # --- hosts
    # ---------------------------------------------------------------------------------------------------------

    def put(self, host: Host) -> None:
        """Make it, or its new facts, known."""
        self.changes += 1
        self.directory.put(host)
        self._look(host.host_id)

    def remove(self, host_id: str) -> None:
        self.changes += 1
        self.directory.remove(host_id)
        self._look(host_id)
        self._seen.pop(host_id, None)
        self._unsaved.pop(host_id, None)

    def host(self, host_id: str) -> Host | None:
        return self.directory.hosts.get(host_id)

    def presence(self, host_id: str) -> HostPresence | None:
        host = self.directory.hosts.get(host_id)
        return self._presence(host) if host is not None else None

    def roster(self) -> Sequence[HostPresence]:
        """All known hosts by (hostname, host_id)."""
        return [self._presence(self.directory.hosts[host_id]) for _, host_id in self.directory.order]

    def _presence(self, host: Host) -> HostPresence:
        session = self._sessions.get(host.host_id)
        if session is None:
            return HostPresence(host, None, None, 0, self._seen.get(host.host_id, host.last_seen_at))
        return HostPresence(host, session.number, session.since, session.running, session.heard)

    def counts(self) -> dict[str, int]:
        return {"known": self.known(), "connected": len(self._sessions)}

    def known(self) -> int:
        """How many hosts there are, those left out that were replaced."""
        return len(self.directory.hosts) - len(self.directory.replaced)

    def offline(self) -> int:
        """How many of them are not connected."""
        return len(self._offline)

    def _look(self, host_id: str) -> None:
        directory = self.directory
        if host_id in directory.hosts and host_id not in directory.replaced and host_id not in self._sessions:
            self._offline.add(host_id)
        else:
            self._offline.discard(host_id)

    # --- sessions
    # ------------------------------------------------------------------------------------------------------

    def attach(self, host_id: str, peer: str, now_ms: int, stir: Callable[[Session], None]) -> Session:
        """A new session for this host, which calls `stir` when it has something to do. An older one is ended first: the
        newest wins."""
        old = self._sessions.get(host_id)
        if old is not None:
            old.end("superseded")
        self._numbers += 1
        self.changes += 1
        session = self._sessions[host_id] = Session(host_id, self._numbers, peer, now_ms, self._limits, stir)
        self._offline.discard(host_id)
        return session

    def disconnect(self, host_id: str, why: str) -> bool:
        """End the host's session. False: it has none."""
        session = self._sessions.get(host_id)
        if session is not None:
            session.end(why)
        return session is not None

    def detach(self, session: Session) -> bool:
        """The stream is over. False: a newer session has taken its place, which this one cannot evict."""
        if self._sessions.get(session.host_id) is not session:
            return False
        del self._sessions[session.host_id]
        self._look(session.host_id)
        if session.host_id in self.directory.hosts:
            self._seen[session.host_id] = self._unsaved[session.host_id] = session.heard
        self.changes += 1
        self._left.set()
        return True

    def send(self, act: Outgoing | Cut) -> None:
        """Of no effect when that session is over."""
        session = self._sessions.get(act.host_id)
        if session is not None and session.number == act.session:
            if isinstance(act, Cut):
                session.end(act.why)
                return
            session.push(act)
            if isinstance(act, Welcome):
                session.welcomed = True
                self.watching.welcomed(session)

    def take_seen(self, *, connected: bool) -> dict[str, int]:
        """When hosts were last heard of that have left since the last call, and with `connected` those that are here;
        ms."""
        found, self._unsaved = self._unsaved, {}
        if connected:
            found |= {
                session.host_id: session.heard
                for session in self._sessions.values()
                if session.host_id in self.directory.hosts
            }
        return found

    def online(self) -> Set[str]:
        """The ids of hosts that are connected now."""
        return self._sessions.keys()

    def session(self, host_id: str) -> Session | None:
        return self._sessions.get(host_id)

    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    async def wait_empty(self) -> None:
        """Return once nobody is connected."""
        while self._sessions:
            self._left = trio.Event()
            await self._left.wait()
