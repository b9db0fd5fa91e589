"""The known hosts and their sessions. All of it is in memory: no list of hosts and no heartbeat uses the database."""

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
    """The known hosts and their sessions. It is the `ports.Fleet` and the conductor's `SessionSender`.

    Attributes:
        directory: All known hosts.
        changes: A number that grows whenever a host is added, changed or removed, connects or disconnects.
        watching: The outputs that are being watched.
    """

    def __init__(
        self, limits: OutboxLimits | None = None, *, epoch: int = 0, watching: WatchLimits | None = None
    ) -> None:
        """Create an empty registry.

        Args:
            limits: Limits of a session's outbox.
            epoch: Epoch of this start of the server. It makes session numbers unique over all starts.
            watching: Limits of live output.
        """
        self._limits = limits or OutboxLimits()
        self.directory = HostDirectory()
        self._sessions: dict[str, Session] = {}
        self._offline: set[str] = set()
        """Ids of known hosts without a session, except replaced ones."""
        self._numbers = epoch << 32
        self._left = trio.Event()
        self._seen: dict[str, int] = {}
        self._unsaved: dict[str, int] = {}
        self.changes = 0
        self.watching = OutputWatches(self.session, watching or WatchLimits())

    # --- hosts --------------------------------------------------------------------------------------------

    def put(self, host: Host) -> None:
        """Add or update a host."""
        self.changes += 1
        self.directory.put(host)
        self._update_offline(host.host_id)

    def remove(self, host_id: str) -> None:
        """Remove a host."""
        self.changes += 1
        self.directory.remove(host_id)
        self._update_offline(host_id)
        self._seen.pop(host_id, None)
        self._unsaved.pop(host_id, None)

    def host(self, host_id: str) -> Host | None:
        """Return a known host, or None."""
        return self.directory.hosts.get(host_id)

    def presence(self, host_id: str) -> HostPresence | None:
        """Return a known host with its connection, or None."""
        host = self.directory.hosts.get(host_id)
        return self._presence(host) if host is not None else None

    def roster(self) -> Sequence[HostPresence]:
        """Return all known hosts with their connections, sorted by (hostname, host id)."""
        return [self._presence(self.directory.hosts[host_id]) for _, host_id in self.directory.order]

    def _presence(self, host: Host) -> HostPresence:
        session = self._sessions.get(host.host_id)
        if session is None:
            return HostPresence(host, None, None, 0, self._seen.get(host.host_id, host.last_seen_at))
        return HostPresence(host, session.number, session.since, session.running, session.last_heard_at)

    def counts(self) -> dict[str, int]:
        """Return the numbers of known and connected hosts."""
        return {"known": self.known(), "connected": len(self._sessions)}

    def known(self) -> int:
        """Return the number of known hosts, except replaced ones."""
        return len(self.directory.hosts) - len(self.directory.replaced)

    def offline(self) -> int:
        """Return the number of known hosts that are offline."""
        return len(self._offline)

    def _update_offline(self, host_id: str) -> None:
        """Update whether the host counts as offline."""
        directory = self.directory
        if host_id in directory.hosts and host_id not in directory.replaced and host_id not in self._sessions:
            self._offline.add(host_id)
        else:
            self._offline.discard(host_id)

    # --- sessions -----------------------------------------------------------------------------------------

    def attach(self, host_id: str, peer: str, now_ms: int, notify: Callable[[Session], None]) -> Session:
        """Open a new session for a host. An older session is ended first: the newest session wins.

        Args:
            host_id: Id of the host.
            peer: Address of the agent.
            now_ms: The current time, in milliseconds since 1970.
            notify: Called when the session has something to send or has to end.
        """
        old = self._sessions.get(host_id)
        if old is not None:
            old.end("superseded")
        self._numbers += 1
        self.changes += 1
        session = self._sessions[host_id] = Session(host_id, self._numbers, peer, now_ms, self._limits, notify)
        self._offline.discard(host_id)
        return session

    def disconnect(self, host_id: str, why: str) -> bool:
        """End the host's session at once, and return whether it had one."""
        session = self._sessions.get(host_id)
        if session is not None:
            session.end(why)
        return session is not None

    def detach(self, session: Session) -> bool:
        """Remove a session whose stream has ended. Return False if a newer session has replaced it."""
        if self._sessions.get(session.host_id) is not session:
            return False
        del self._sessions[session.host_id]
        self._update_offline(session.host_id)
        if session.host_id in self.directory.hosts:
            self._seen[session.host_id] = self._unsaved[session.host_id] = session.last_heard_at
        self.changes += 1
        self._left.set()
        return True

    def send(self, act: Outgoing | Cut) -> None:
        """Send a message, unless the session has ended. A Cut ends the session."""
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
        """Return when hosts were last heard of, in milliseconds since 1970.

        Args:
            connected: Include connected hosts. Otherwise only hosts that have disconnected since the last call are
                included.
        """
        found, self._unsaved = self._unsaved, {}
        if connected:
            found |= {
                session.host_id: session.last_heard_at
                for session in self._sessions.values()
                if session.host_id in self.directory.hosts
            }
        return found

    def online(self) -> Set[str]:
        """Return the ids of the online hosts."""
        return self._sessions.keys()

    def session(self, host_id: str) -> Session | None:
        """Return the host's session, or None."""
        return self._sessions.get(host_id)

    def sessions(self) -> list[Session]:
        """Return all sessions."""
        return list(self._sessions.values())

    async def wait_empty(self) -> None:
        """Return once no host is connected."""
        while self._sessions:
            self._left = trio.Event()
            await self._left.wait()
