"""All connections of the lane in one epoll set, served in turn and a slice at a time.

This file is run as it is, and compiled a second time as `_speedups.http2.poller_c` with the types of poller_c.pxd.
"""

from __future__ import annotations

import os
from collections import deque
from select import EPOLLIN, epoll
from time import monotonic
from typing import Any

from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import ENHANCE_YOUR_CALM, Limits, rates
from _speedups.http2.memory import Waiting

PREFERRED, ANSWERS = 64, 4
"""Connections that may be served before all others, and how often something may come of one before it waits for its
turn again."""


class Hub:
    """limits: of each connection. `fileno()` is readable while `poll` has something to do; one task waits for that and
    calls it.

    Rows, and every call to `on_gone` and `connection_lost`, come out of `poll` alone.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rates = rates(limits)
        self.rows: list[tuple[Any, ...]] = []
        self.now = 0.0
        self.epoll = epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.epoll.register(self._alarm, EPOLLIN)
        self._alarmed = False
        self._conns: dict[int, Any] = {}
        self._turns: deque[Any] = deque()
        self._preferred: dict[Any, tuple[float, int]] = {}
        self._dead: list[Any] = []
        self._leaving: dict[Any, float] = {}
        self._slow: dict[Any, Guard] = {}
        self._waiting = Waiting(limits.waiting_bytes)
        self._turned = 0
        self._counts = {"polls": 0, "late": 0, "rows": 0, "gone": 0}
        self._past = {"frames": 0, "messages": 0, "bytes_in": 0, "bytes_out": 0, "sends": 0}

    def fileno(self) -> int:
        return self.epoll.fileno()

    def add(self, conn: Any) -> None:
        """Serve this connection from now on. Raises ValueError if it is here already."""
        if conn.fd in self._conns:
            raise ValueError(f"file descriptor {conn.fd} is in the hub already")
        self._conns[conn.fd] = conn
        conn.pipe.register()
        if not conn.pipe.announced():
            self.again(conn)

    def discard(self, conn: Any) -> None:
        """Serve it no more, without a row; its socket stays open and is the caller's."""
        fd = conn.fd
        if fd in self._conns and self._conns[fd] is conn:
            del self._conns[fd]
            conn.pipe.unregister()
        self._leaving.pop(conn, None)
        self._slow.pop(conn, None)
        self._preferred.pop(conn, None)
        self._waiting.holds(conn, 0)

    def overdue(self, now: float) -> None:
        """Cut off who takes too long over a frame or a header block; to be called every second or so. now: as
        `poll`'s."""
        for conn, guard in list(self._slow.items()):
            try:
                guard.overdue(now)
            except Refusal as refusal:
                conn.refuse(refusal.code, refusal.reason)

    def unfinished(self, conn: Any, guard: Guard, frames: int, within: bool, now: float) -> bool:
        """Whether `overdue` looks at it from now on: it is within a frame or a header block. frames: whole ones so
        far."""
        if guard.unfinished(frames, within, now):
            self._slow[conn] = guard
            return True
        self._slow.pop(conn, None)
        return False

    def count(self, conn: Any) -> None:
        """Note how much is held for it. Who has to make room, should it be too much over all, is cut off."""
        conn.counted = 0 if conn.closed else conn.held_back()
        waiting = self._waiting
        waiting.holds(conn, conn.counted)
        while (other := waiting.excess()) is not None:
            other.refuse(
                ENHANCE_YOUR_CALM, f"crowded out: more than {waiting.limit} bytes are held for all that have no session"
            )
            if not other.closed:
                other.abort()  # it was closing already

    def prefer(self, conn: Any, until: float) -> None:
        """Serve it before all others when there is more than one slice to do. until: seconds, as `poll`'s now. Of many,
        the newest are."""
        preferred = self._preferred
        preferred.pop(conn, None)
        if len(preferred) >= PREFERRED:
            del preferred[next(iter(preferred))]
        preferred[conn] = (until, ANSWERS)

    def poll(
        self, now: float, max_events: int = 256, max_bytes_per_conn: int = 65_536, budget_s: float = 0.005
    ) -> list[tuple[Any, ...]]:
        """One slice: the rows of what came in, in the order of arrival per connection.

        now: seconds of a clock that does not go back, for limits and `last_read`. No slice goes on after budget_s
        seconds of the
        real clock by more than one frame's work: what was not served then is first in the next one, and `fileno()`
        stays
        readable. A connection with more than max_bytes_per_conn waits for all others to have had their turn.
        """
        self.now = now
        deadline = monotonic() + budget_s
        self._counts["polls"] += 1
        if self._dead:
            self._bury()
        if self._leaving:
            self._hurry()
        turns = self._turns
        announced = self.epoll.poll(0, max_events)
        if self._preferred and (turns or len(announced) >= max_events):
            self._favour(now, deadline, max_bytes_per_conn)
        for fd, _ in announced:
            conn = self._conns.get(fd)
            if conn is None:
                if fd == self._alarm:
                    os.eventfd_read(self._alarm)
                    self._alarmed = False
            elif not conn.waiting:
                conn.waiting = True
                turns.append(conn)
        for _ in range(len(turns)):
            conn = turns.popleft()
            conn.waiting = False
            if conn.closed:
                continue
            self._turned += 1
            if conn.ready(now, deadline, max_bytes_per_conn) and not conn.closed and not conn.waiting:
                conn.waiting = True
                turns.append(conn)
            if not conn.closed and conn.held_back() != conn.counted:
                self.count(conn)
            if self._dead:
                self._bury()
            if monotonic() >= deadline:
                break
        if turns:
            self._counts["late"] += 1
            self.wake()
        rows = self.rows.copy()
        self.rows.clear()
        self._counts["rows"] += len(rows)
        return rows

    def again(self, conn: Any) -> None:
        """Give it a turn in the next slice, whether epoll announces something or not."""
        if not conn.waiting:
            conn.waiting = True
            self._turns.append(conn)
        self.wake()

    def wake(self) -> None:
        """Make `fileno()` readable."""
        if not self._alarmed:
            self._alarmed = True
            os.eventfd_write(self._alarm, 1)

    def dead(self, conn: Any) -> None:
        """Its socket is closed; who has to know is told by the next `poll`."""
        self.discard(conn)
        self._dead.append(conn)
        self.wake()

    def leaving(self, conn: Any) -> None:
        """It closes once its queue is empty, or by force when the time for that is up."""
        self._leaving[conn] = self.now + self.limits.linger

    def statistics(self) -> dict[str, int]:
        """Counts since the start; connections, attached, waiting_bytes and queued_bytes as they are now."""
        conns = list(self._conns.values())
        sums = dict(self._past)
        for conn in conns:
            for name, count in conn.counts().items():
                sums[name] += count
        return {
            "connections": len(conns),
            "attached": sum(1 for conn in conns if conn.tag),
            "waiting_bytes": self._waiting.total,
            "queued_bytes": sum(conn.queued_bytes for conn in conns),
            "turns": self._turned,
            **self._counts,
            **sums,
        }

    def close(self) -> None:
        """Abort every connection, tell those who have to know, and give the file descriptors back."""
        for conn in list(self._conns.values()):
            conn.abort()
        self._bury()
        self.epoll.close()
        os.close(self._alarm)
        self._alarmed = True

    def _favour(self, now: float, deadline: float, max_bytes: int) -> None:
        """More waits than one slice serves: those that are preferred come first, whether anything has come of them or
        not, and keep their turn."""
        for conn, (until, answers) in list(self._preferred.items()):
            if conn.closed or now > until or not answers:
                self._preferred.pop(conn, None)
                continue
            rows = len(self.rows)
            if conn.ready(now, deadline, max_bytes):
                self.again(conn)
            if conn in self._preferred and len(self.rows) > rows:
                self._preferred[conn] = (until, answers - 1)
            if not conn.closed and conn.held_back() != conn.counted:
                self.count(conn)
            if monotonic() >= deadline:
                break

    def _bury(self) -> None:
        while self._dead:
            conn = self._dead.pop(0)
            self._counts["gone"] += 1
            for name, count in conn.counts().items():
                self._past[name] += count
            conn.bury()

    def _hurry(self) -> None:
        for conn, when in list(self._leaving.items()):
            if self.now >= when:
                conn.abort()
        if self._dead:
            self._bury()
