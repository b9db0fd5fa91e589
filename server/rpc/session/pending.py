"""Connections that have no session yet, and the time at which they are closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from _speedups.http2 import Conn
from server.ports import Clock
from server.rpc.session.timer_wheel import TimerWheel
from server.rpc.settings import AgentPortSettings

NEVER = float("inf")


class PendingConnection:
    """A connection before its Hello, or without one.

    Attributes:
        goaway: tells the peer that no further call is accepted.
        closes_at: monotonic time at which it is closed, unless it becomes an agent's; NEVER once it is one.
        is_probe: it asks for health or reflection.
    """

    __slots__ = ("closes_at", "goaway", "is_probe")

    def __init__(self, goaway: Callable[[], None], closes_at: float) -> None:
        self.goaway = goaway
        self.closes_at = closes_at
        self.is_probe = False


class PendingConnections:
    """All open connections of the agent port; those without a session are closed in time."""

    def __init__(self, settings: AgentPortSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._deadlines: TimerWheel[Any] = TimerWheel(settings.pulse, clock.now().mono)
        self._known: dict[Any, PendingConnection] = {}

    def __len__(self) -> int:
        return len(self._known)

    def add(self, conn: Conn, goaway: Callable[[], None]) -> None:
        """Note a new connection. Without a Hello within `hello_timeout` it is closed; `keep_for_probes` extends that.

        Args:
            conn: the connection; `discard` must follow.
            goaway: tells the peer that no further call is accepted.
        """
        closes_at = self._clock.now().mono + self._settings.hello_timeout
        self._known[conn] = PendingConnection(goaway, closes_at)
        self._deadlines.set(conn, closes_at)

    def keep_for_probes(self, conn: Conn) -> None:
        """Keep a connection that asks for health or reflection for `caller_age`, unless it is an agent's."""
        pending = self._known.get(conn)
        if pending is not None and not pending.is_probe and pending.closes_at != NEVER:
            pending.is_probe = True
            pending.closes_at = self._clock.now().mono + self._settings.caller_age
            self._deadlines.set(conn, pending.closes_at)

    def become_agents(self, conn: Conn) -> None:
        """The connection has a session now, and is not closed for being late."""
        if (pending := self._known.get(conn)) is not None:
            pending.closes_at = NEVER

    def discard(self, conn: Conn) -> None:
        """Forget a connection that is closed."""
        self._known.pop(conn, None)

    def goaway(self, conn: Conn) -> None:
        """Tell this peer that no further call is accepted."""
        if (pending := self._known.get(conn)) is not None:
            pending.goaway()

    def goaway_all(self) -> None:
        """Tell all peers without a session that no further call is accepted."""
        for pending in list(self._known.values()):
            if pending.closes_at != NEVER:
                pending.goaway()

    def close_expired(self, now: float) -> None:
        """Close the connections whose time is up."""
        for conn in self._deadlines.due(now):
            pending = self._known.get(conn)
            if pending is None or conn.closed or now < pending.closes_at:
                continue
            if pending.is_probe:
                pending.goaway()
                conn.close()
            else:
                conn.abort("no_hello")
