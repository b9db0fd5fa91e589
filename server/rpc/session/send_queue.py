"""Sessions that have something to send; sessions with a command of a small task are served first."""

from __future__ import annotations

from collections import OrderedDict

import trio

from server.fleet.session import Session


class SendQueue:
    """An ordered set of sessions. `added` is set when a session is added after `reset`."""

    def __init__(self) -> None:
        self.added = trio.Event()
        self._preferred: OrderedDict[Session, None] = OrderedDict()
        self._others: OrderedDict[Session, None] = OrderedDict()

    def add(self, session: Session) -> None:
        """Add a session; a session that became quick moves to the front group."""
        if session.quick:
            self._preferred[session] = None
            self._others.pop(session, None)
        else:
            self._others[session] = None
        self.added.set()

    def __contains__(self, session: object) -> bool:
        return session in self._preferred or session in self._others

    def reset(self) -> None:
        """Make `added` wait for the next session. Call it before taking sessions."""
        self.added = trio.Event()

    def take(self) -> Session | None:
        """Remove and return the next session, or None. Quick sessions come first; each group keeps its order."""
        for sessions in (self._preferred, self._others):
            if sessions:
                return sessions.popitem(last=False)[0]
        return None
