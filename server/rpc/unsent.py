"""Sessions with something to send: those first for which a command of a task with few hosts waits."""

from __future__ import annotations

import trio

from server.fleet.session import Session


class Unsent:
    """`stirred` is set when a session is added."""

    def __init__(self) -> None:
        self.stirred = trio.Event()
        self._quick: dict[Session, None] = {}
        self._others: dict[Session, None] = {}

    def add(self, session: Session) -> None:
        (self._quick if session.quick else self._others)[session] = None
        self.stirred.set()

    def __contains__(self, session: object) -> bool:
        return session in self._quick or session in self._others

    def take_quick(self) -> list[Session]:
        """Those with a command of a task with few hosts, in the order in which they were added."""
        quick, self._quick = self._quick, {}
        return list(quick)

    def take_others(self) -> list[Session]:
        """All others, in the order in which they were added. `stirred` waits for the next one that is added."""
        self.stirred, others, self._others = trio.Event(), self._others, {}
        return list(others)
