"""How many results each session may have sent and not acknowledged: all that its terms say, or one while the writer is
full.

Acknowledging gives a credit back by itself, and nothing is acknowledged that is not committed: when the database
stalls, agents run out of
credits and keep their results on their disks. Who comes while there is too much to write already gets the rest when
there is room.
"""

from __future__ import annotations

from server.core.effects import Welcome
from server.fleet.session import Outgoing, Session
from server.rpc.settings import Queue

FIRST = 1
"""Of a session that is welcomed while the writer is full. Not 0, which agents take for no limit."""
GRANTED_AT_ONCE = 2_000
"""Sessions; the others get theirs the next time."""


class Credits:
    """whole: what a session may have."""

    def __init__(self, whole: int, queue: Queue) -> None:
        self._whole, self._queue = whole, queue
        self._owed: dict[Session, None] = {}

    def of(self, session: Session, act: Outgoing) -> int:
        """Those that are told with this act, if it is a Welcome."""
        if isinstance(act, Welcome) and self._queue.full and self._whole > FIRST:
            self._owed[session] = None
            return FIRST
        return self._whole

    def granted(self) -> tuple[int, list[Session]]:
        """How many more results, and who may send them now."""
        if not self._owed or self._queue.full:
            return 0, []
        sessions = list(self._owed)[:GRANTED_AT_ONCE]
        for session in sessions:
            del self._owed[session]
        return self._whole - FIRST, sessions
