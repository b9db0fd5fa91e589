"""Live output: which viewers watch which executions, and the messages to the agents that follow from it.

Agents send live output only while a viewer watches: the server sends WatchOutput with the first viewer and with every
new session, and stops it with the last viewer. The output is kept in memory only, in a limited ring per execution. A
viewer that is too slow misses bytes and is told which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from proto.messages import MalformedMessage
from server.core.results.live_output import (
    Gap,
    OutputCredit,
    OutputRing,
    Piece,
    SessionCredit,
    ViewerPosition,
    WatchOutput,
    credit_share,
)
from server.errors import ClarionError
from server.fleet.session import Session
from server.settings.sections.limits import Limits

Key = tuple[str, str, int]
"""(host id, command id, attempt)."""
TICK = 0.2
"""Seconds between two grants of credit. An agent sends its window at most five times a second."""

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """Limits of live output.

    Attributes:
        executions: Executions that may be watched at the same time.
        ring: Bytes kept of each.
        window: Bytes that one agent may send per TICK.
        total: Bytes that all agents together may send per TICK.
    """

    executions: int = _LIMITS.live_output_executions
    ring: int = _LIMITS.live_output_bytes
    window: int = int(_LIMITS.live_output_rate * TICK)
    total: int = int(_LIMITS.live_output_rate_total * TICK)


class WatchedExecution:
    """An execution with at least one viewer.

    Attributes:
        key: The execution.
        ring: The last bytes of its output.
        viewers: Its viewers.
        ended: Its result has arrived, so no output follows.
        changed: Set when there is news.
    """

    def __init__(self, key: Key, ring: OutputRing) -> None:
        """Start without viewers."""
        self.key, self.ring = key, ring
        self.viewers: list[Viewer] = []
        self.ended = False
        self.changed = trio.Event()

    def wake_viewers(self) -> None:
        """Wake all waiting viewers."""
        self.changed.set()
        self.changed = trio.Event()


class Viewer:
    """A viewer of an execution's live output. The caller must `close` it."""

    def __init__(self, watches: OutputWatches, watched: WatchedExecution, position: ViewerPosition) -> None:
        """Create a viewer; `OutputWatches.open` adds it."""
        self._watches, self._watched, self.position = watches, watched, position

    def news(self) -> list[Piece | Gap]:
        """Return the pieces and gaps since the last call."""
        return self._watched.ring.news(self.position)

    @property
    def ended(self) -> bool:
        """True if the result has arrived. It is committed a moment later."""
        return self._watched.ended

    async def wait(self, seconds: float) -> None:
        """Wait until there may be news or the end.

        Args:
            seconds: Longest wait.
        """
        with trio.move_on_after(seconds):
            if (
                not self._watched.ended
                and self.position.serial == self._watched.ring.serial
                and not self._watches.closed
            ):
                await self._watched.changed.wait()

    def close(self) -> None:
        """Stop watching."""
        self._watches.leave(self._watched, self)


class OutputWatches:
    """All watched executions. `run` must be running for credit to be granted."""

    def __init__(self, session: Callable[[str], Session | None], limits: WatchLimits) -> None:
        """Start without viewers.

        Args:
            session: Returns a host's session, or None while it is offline.
            limits: Limits of live output.
        """
        self._session, self._limits = session, limits
        self._watched: dict[Key, WatchedExecution] = {}
        self._hosts: dict[str, dict[Key, WatchedExecution]] = {}
        self._wanted = trio.Event()
        self.closed = False

    def use_limits(self, limits: WatchLimits) -> None:
        """Use other limits. Executions that are already watched keep the size of their ring."""
        self._limits = limits

    def check_capacity(self, key: Key) -> None:
        """Check that `open` would accept this execution.

        Raises:
            ClarionError: too_many_watched.
        """
        if key not in self._watched and len(self._watched) >= self._limits.executions:
            raise ClarionError("too_many_watched")

    def open(self, key: Key, position: ViewerPosition) -> Viewer:
        """Add a viewer at a position.

        Raises:
            ClarionError: too_many_watched.
        """
        watched = self._watched.get(key)
        if watched is None:
            self.check_capacity(key)
            watched = self._watched[key] = WatchedExecution(key, OutputRing(self._limits.ring, position.offsets))
            self._hosts.setdefault(key[0], {})[key] = watched
            self._send_watch(watched)
            self._wanted.set()
        elif not watched.ring.reaches(position):
            positions = [position, *(viewer.position for viewer in watched.viewers)]
            watched.ring.restart({stream: min(one.offsets[stream] for one in positions) for stream in position.offsets})
            self._send_watch(watched)
        viewer = Viewer(self, watched, position)
        watched.viewers.append(viewer)
        return viewer

    def leave(self, watched: WatchedExecution, viewer: Viewer) -> None:
        """Remove a viewer. The last one stops the agent's live output."""
        if viewer in watched.viewers:
            watched.viewers.remove(viewer)
            if not watched.viewers:
                self._send_watch(watched, stop=True)
                host_id = watched.key[0]
                del self._watched[watched.key], self._hosts[host_id][watched.key]
                if not self._hosts[host_id]:
                    del self._hosts[host_id]

    def take(self, session: Session, command_id: str, attempt: int, piece: Piece) -> None:
        """Take a piece of output. A piece of an execution without viewers is dropped.

        Raises:
            MalformedMessage: The agent had no credit for the piece.
        """
        credit = session.output_credit
        if credit is None or not credit.take(len(piece.data)):
            raise MalformedMessage("output: more than the credit for it")
        watched = self._watched.get((session.host_id, command_id, attempt))
        if watched is not None and watched.ring.add(piece):
            watched.wake_viewers()

    def ended(self, host_id: str, command_id: str, attempt: int) -> None:
        """Note that an execution's result has arrived."""
        watched = self._watched.get((host_id, command_id, attempt)) if self._watched else None
        if watched is not None:
            watched.ended = True
            watched.wake_viewers()

    async def run(self, shutdown: trio.Event) -> None:
        """Grant credit until cancelled. When `shutdown` is set, all waiting viewers are woken."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._grant_forever)
            await shutdown.wait()
            self.closed = True
            for watched in self._watched.values():
                watched.wake_viewers()

    async def _grant_forever(self) -> None:
        while True:
            await self._wanted.wait()
            if not self._watched:
                self._wanted = trio.Event()
                continue
            self.grant()
            await trio.sleep(TICK)

    def grant(self) -> None:
        """Grant each watched session a share of the bytes again."""
        sessions = [
            session for host_id in self._hosts if (session := self._session(host_id)) is not None and session.welcomed
        ]
        window = credit_share(self._limits.window, self._limits.total, len(sessions))
        for session in sessions:
            if session.output_credit is None:
                session.output_credit = SessionCredit()
            more = session.output_credit.grant(window)
            if more:
                session.push(OutputCredit(session.host_id, session.number, more))

    def welcomed(self, session: Session) -> None:
        """Request the watched outputs of a host again, from where they stopped."""
        for watched in self._hosts.get(session.host_id, {}).values():
            self._send_watch(watched)

    def _send_watch(self, watched: WatchedExecution, *, stop: bool = False) -> None:
        host_id, command_id, attempt = watched.key
        session = self._session(host_id)
        if session is not None and session.welcomed:
            session.push(WatchOutput(host_id, session.number, command_id, attempt, dict(watched.ring.ends), stop))
