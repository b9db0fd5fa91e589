"""Result credits: how many results a session may have sent and not seen acknowledged.

An acknowledgement returns a credit by itself, and results are acknowledged after their commit. So when the database
stalls, agents run out of credits and keep their results on their disks. A session that is welcomed while the writer is
full gets one credit, and the others when the writer has room.
"""

from __future__ import annotations

from server.core.effects import Welcome
from server.fleet.session import Outgoing, Session
from server.rpc.settings import WriterQueue

INITIAL = 1
"""Credits of a session that is welcomed while the writer is full. Not 0, which agents take for no limit."""
GRANTED_AT_ONCE = 2_000
"""Sessions that get their remaining credits in one go; the others get them the next time."""


class ResultCredits:
    """Result credits of new sessions. full: credits that a session may have."""

    def __init__(self, full: int, queue: WriterQueue) -> None:
        self._full = full
        self._queue = queue
        self._reduced: dict[Session, None] = {}

    def for_message(self, session: Session, act: Outgoing) -> int:
        """The credits to announce with this message, if it is a Welcome."""
        if isinstance(act, Welcome) and self._queue.full and self._full > INITIAL:
            self._reduced[session] = None
            return INITIAL
        return self._full

    def take_due(self) -> tuple[int, list[Session]]:
        """Return how many credits to add, and the sessions that get them now."""
        if not self._reduced or self._queue.full:
            return 0, []
        sessions = list(self._reduced)[:GRANTED_AT_ONCE]
        for session in sessions:
            del self._reduced[session]
        return self._full - INITIAL, sessions
