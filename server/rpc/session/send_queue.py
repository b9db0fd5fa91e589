"""Sessions with something to send: those first for which a command of a task with few hosts waits."""

from __future__ import annotations

from collections import OrderedDict

import trio

from server.fleet.session import Session


class SendQueue:
    """`stirred` is set when a session is added after `begin`."""

    def __init__(self) -> None:
        self.stirred = trio.Event()
        self._quick: OrderedDict[Session, None] = OrderedDict()
        self._others: OrderedDict[Session, None] = OrderedDict()

    def add(self, session: Session) -> None:
        if session.quick:
            self._quick[session] = None
            self._others.pop(session, None)
        else:
            self._others[session] = None
        self.stirred.set()

    def __contains__(self, session: object) -> bool:
        return session in self._quick or session in self._others

    def begin(self) -> None:
        """To be called before the sessions are taken: `stirred` waits for the next one that is added."""
        self.stirred = trio.Event()

    def take(self) -> Session | None:
        """The next session, in the order in which they were added; None if there is none. A later quick one goes before
        all others."""
        for sessions in (self._quick, self._others):
            if sessions:
                return sessions.popitem(last=False)[0]
        return None
