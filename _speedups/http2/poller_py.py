"""All connections of the fast path in one epoll set, served in turn and a slice at a time.

This file runs as it is, and is compiled a second time as `_speedups.http2.poller_c` with the types of poller_c.pxd.
"""

from __future__ import annotations

import os
from collections import deque
from select import EPOLLIN, epoll
from time import monotonic
from typing import Any

from _speedups.http2.guard import Guard, Refusal
from _speedups.http2.limits import ENHANCE_YOUR_CALM, ConnectionLimits, rates
from _speedups.http2.memory import PreSessionMemory

PREFERRED, ANSWERS = 64, 4
"""Connections that may be served before all others, and how often one may give rows before it is ordinary again."""


class Poller:
    """Serves connections. One task waits until `fileno()` is readable, and then calls `poll`.

    Rows, and every call of `on_closed` and `connection_lost`, come from `poll` alone.

    Args:
        limits: of each connection.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.rates = rates(limits)
        self.rows: list[tuple[Any, ...]] = []
        self.now = 0.0
        self.epoll = epoll()
        self._wakeup_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.epoll.register(self._wakeup_fd, EPOLLIN)
        self._wakeup_pending = False
        self._conns: dict[int, Any] = {}
        self._ready: deque[Any] = deque()
        self._preferred: dict[Any, tuple[float, int]] = {}
        self._closed: list[Any] = []
        self._draining: dict[Any, float] = {}
        self._unfinished: dict[Any, Guard] = {}
        self._pre_session = PreSessionMemory(limits.waiting_bytes)
        self._turns_served = 0
        self._counts = {"polls": 0, "late": 0, "rows": 0, "gone": 0}
        self._past = {"frames": 0, "messages": 0, "bytes_in": 0, "bytes_out": 0, "sends": 0}

    def fileno(self) -> int:
        """A file descriptor that is readable while `poll` has something to do."""
        return self.epoll.fileno()

    def add(self, conn: Any) -> None:
        """Serve this connection from now on.

        Raises:
            ValueError: it is served already.
        """
        if conn.fd in self._conns:
            raise ValueError(f"file descriptor {conn.fd} is in the hub already")
        self._conns[conn.fd] = conn
        conn.buffered.register()
        if not conn.buffered.epoll_reports_all():
            self.schedule(conn)

    def discard(self, conn: Any) -> None:
        """Serve it no more, without a row. Its socket stays open and belongs to the caller."""
        fd = conn.fd
        if fd in self._conns and self._conns[fd] is conn:
            del self._conns[fd]
            conn.buffered.unregister()
        self._draining.pop(conn, None)
        self._unfinished.pop(conn, None)
        self._preferred.pop(conn, None)
        self._pre_session.record(conn, 0)

    def overdue(self, now: float) -> None:
        """Cut off connections that take too long over a frame or a header block. Call it about once per second.

        Args:
            now: of the same clock as `poll`'s.
        """
        for conn, guard in list(self._unfinished.items()):
            try:
                guard.overdue(now)
            except Refusal as refusal:
                conn.refuse(refusal.code, refusal.reason)

    def track_unfinished(self, conn: Any, guard: Guard, frames: int, within: bool, now: float) -> bool:
        """Let `overdue` check the connection while it is within a frame or a header block.

        Args:
            conn: the connection.
            guard: its guard.
            frames: whole frames so far.
            within: a frame has begun.
            now: of the same clock as `poll`'s.

        Returns:
            Whether it is checked from now on.
        """
        if guard.track_unfinished(frames, within, now):
            self._unfinished[conn] = guard
            return True
        self._unfinished.pop(conn, None)
        return False

    def update_memory(self, conn: Any) -> None:
        """Record how much is held for the connection, and drop connections while the total is over the limit."""
        conn.recorded_bytes = 0 if conn.closed else conn.pre_session_bytes()
        waiting = self._pre_session
        waiting.record(conn, conn.recorded_bytes)
        while (other := waiting.connection_to_drop()) is not None:
            other.refuse(
                ENHANCE_YOUR_CALM, f"crowded out: more than {waiting.limit} bytes are held for all that have no session"
            )
            if not other.closed:
                other.abort()  # it was already closing

    def prefer(self, conn: Any, until: float) -> None:
        """Serve the connection before all others while there is more than one slice of work.

        Args:
            conn: the connection; when there are too many, the oldest is ordinary again.
            until: seconds of `poll`'s clock.
        """
        preferred = self._preferred
        preferred.pop(conn, None)
        if len(preferred) >= PREFERRED:
            del preferred[next(iter(preferred))]
        preferred[conn] = (until, ANSWERS)

    def poll(
        self, now: float, max_events: int = 256, max_bytes_per_conn: int = 65_536, budget_s: float = 0.005
    ) -> list[tuple[Any, ...]]:
        """Serve one slice, and return its rows in the order of arrival per connection.

        No slice exceeds budget_s by more than one frame's work. What was not served is first in the next slice, and
        `fileno()` stays readable.

        Args:
            now: seconds of a monotonic clock, for limits and `last_read`.
            max_events: connections of one slice.
            max_bytes_per_conn: bytes after which a connection waits until all others had their turn.
            budget_s: seconds of real time.
        """
        self.now = now
        deadline = monotonic() + budget_s
        self._counts["polls"] += 1
        if self._closed:
            self._finalize_closed()
        if self._draining:
            self._abort_overdue()
        turns = self._ready
        epoll_reports_all = self.epoll.poll(0, max_events)
        if self._preferred and (turns or len(epoll_reports_all) >= max_events):
            self._serve_preferred(now, deadline, max_bytes_per_conn)
        for fd, _ in epoll_reports_all:
            conn = self._conns.get(fd)
            if conn is None:
                if fd == self._wakeup_fd:
                    os.eventfd_read(self._wakeup_fd)
                    self._wakeup_pending = False
            elif not conn.waiting:
                conn.waiting = True
                turns.append(conn)
        for _ in range(len(turns)):
            conn = turns.popleft()
            conn.waiting = False
            if conn.closed:
                continue
            self._turns_served += 1
            if conn.serve(now, deadline, max_bytes_per_conn) and not conn.closed and not conn.waiting:
                conn.waiting = True
                turns.append(conn)
            if not conn.closed and conn.pre_session_bytes() != conn.recorded_bytes:
                self.update_memory(conn)
            if self._closed:
                self._finalize_closed()
            if monotonic() >= deadline:
                break
        if turns:
            self._counts["late"] += 1
            self.wake()
        rows = self.rows.copy()
        self.rows.clear()
        self._counts["rows"] += len(rows)
        return rows

    def schedule(self, conn: Any) -> None:
        """Give it a turn in the next slice, whether epoll announces something or not."""
        if not conn.waiting:
            conn.waiting = True
            self._ready.append(conn)
        self.wake()

    def wake(self) -> None:
        """Make `fileno()` readable."""
        if not self._wakeup_pending:
            self._wakeup_pending = True
            os.eventfd_write(self._wakeup_fd, 1)

    def mark_closed(self, conn: Any) -> None:
        """Its socket is closed; the next `poll` notifies its owner."""
        self.discard(conn)
        self._closed.append(conn)
        self.wake()

    def close_when_drained(self, conn: Any) -> None:
        """It closes once its queue is empty, or by force after `linger`."""
        self._draining[conn] = self.now + self.limits.linger

    def statistics(self) -> dict[str, int]:
        """Counts since the start; connections, attached, waiting_bytes and queued_bytes are current values."""
        conns = list(self._conns.values())
        sums = dict(self._past)
        for conn in conns:
            for name, number in conn.counts().items():
                sums[name] += number
        return {
            "connections": len(conns),
            "attached": sum(1 for conn in conns if conn.tag),
            "waiting_bytes": self._pre_session.total,
            "queued_bytes": sum(conn.queued_bytes for conn in conns),
            "turns": self._turns_served,
            **self._counts,
            **sums,
        }

    def close(self) -> None:
        """Abort every connection, notify their owners, and close the file descriptors."""
        for conn in list(self._conns.values()):
            conn.abort()
        self._finalize_closed()
        self.epoll.close()
        os.close(self._wakeup_fd)
        self._wakeup_pending = True

    def _serve_preferred(self, now: float, deadline: float, max_bytes: int) -> None:
        """Serve preferred connections first, announced or not, when more waits than one slice serves."""
        for conn, (until, answers) in list(self._preferred.items()):
            if conn.closed or now > until or not answers:
                self._preferred.pop(conn, None)
                continue
            rows = len(self.rows)
            if conn.serve(now, deadline, max_bytes):
                self.schedule(conn)
            if conn in self._preferred and len(self.rows) > rows:
                self._preferred[conn] = (until, answers - 1)
            if not conn.closed and conn.pre_session_bytes() != conn.recorded_bytes:
                self.update_memory(conn)
            if monotonic() >= deadline:
                break

    def _finalize_closed(self) -> None:
        while self._closed:
            conn = self._closed.pop(0)
            self._counts["gone"] += 1
            for name, number in conn.counts().items():
                self._past[name] += number
            conn.finalize()

    def _abort_overdue(self) -> None:
        for conn, when in list(self._draining.items()):
            if self.now >= when:
                conn.abort()
        if self._closed:
            self._finalize_closed()
