"""Who looks at which execution's output while it comes, and what the agents are told because of it.

Nothing flows unless somebody looks: an agent is told with the first viewer and again with every new session, and told
to stop with the
last. What comes is kept in memory only, in a bounded ring per execution; a viewer that is slower than that misses bytes
and sees which.
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

Key = tuple[str, str, int]
"""(host_id, command_id, attempt)."""
TICK = 0.2
"""Seconds between two grants of credit; so an agent sends a window at most five times a second."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """executions: watched at once. ring: bytes kept of each. window: bytes that one agent may send per TICK, total: all
    of them together."""

    executions: int = 64
    ring: int = 512 * 1024
    window: int = 128 * 1024
    total: int = 1024 * 1024


class WatchedExecution:
    """One execution that somebody looks at. ended: its result has come, so nothing more will."""

    def __init__(self, key: Key, ring: OutputRing) -> None:
        self.key, self.ring = key, ring
        self.viewers: list[Viewer] = []
        self.ended = False
        self.changed = trio.Event()

    def stir(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class Viewer:
    """One who looks. `close` it."""

    def __init__(self, book: OutputWatches, watched: WatchedExecution, position: ViewerPosition) -> None:
        self._book, self._watched, self.position = book, watched, position

    def news(self) -> list[Piece | Gap]:
        """What came since the last call."""
        return self._watched.ring.news(self.position)

    @property
    def ended(self) -> bool:
        """The result has come; it is committed a moment later."""
        return self._watched.ended

    async def wait(self, seconds: float) -> None:
        """Until there may be news, or the end; at most so long."""
        with trio.move_on_after(seconds):
            if not self._watched.ended and self.position.serial == self._watched.ring.serial and not self._book.closed:
                await self._watched.changed.wait()

    def close(self) -> None:
        self._book.leave(self._watched, self)


class OutputWatches:
    """`run` must be running for credit to be granted."""

    def __init__(self, session: Callable[[str], Session | None], limits: WatchLimits) -> None:
        """session: of a host, None while it is away."""
        self._session, self._limits = session, limits
        self._watched: dict[Key, WatchedExecution] = {}
        self._hosts: dict[str, dict[Key, WatchedExecution]] = {}
        self._wanted = trio.Event()
        self.closed = False

    def refuse_more(self, key: Key) -> None:
        """Raises ClarionError too_many_watched unless `open` would take it."""
        if key not in self._watched and len(self._watched) >= self._limits.executions:
            raise ClarionError("too_many_watched")

    def open(self, key: Key, position: ViewerPosition) -> Viewer:
        """Look on from this position. Raises ClarionError too_many_watched."""
        watched = self._watched.get(key)
        if watched is None:
            self.refuse_more(key)
            watched = self._watched[key] = WatchedExecution(key, OutputRing(self._limits.ring, position.offsets))
            self._hosts.setdefault(key[0], {})[key] = watched
            self._tell(watched)
            self._wanted.set()
        elif not watched.ring.reaches(position):
            everybody = [position, *(viewer.position for viewer in watched.viewers)]
            watched.ring.restart({stream: min(one.offsets[stream] for one in everybody) for stream in position.offsets})
            self._tell(watched)
        viewer = Viewer(self, watched, position)
        watched.viewers.append(viewer)
        return viewer

    def leave(self, watched: WatchedExecution, viewer: Viewer) -> None:
        if viewer in watched.viewers:
            watched.viewers.remove(viewer)
            if not watched.viewers:
                self._tell(watched, stop=True)
                host_id = watched.key[0]
                del self._watched[watched.key], self._hosts[host_id][watched.key]
                if not self._hosts[host_id]:
                    del self._hosts[host_id]

    def take(self, session: Session, command_id: str, attempt: int, piece: Piece) -> None:
        """A piece has come; one that nobody looks at any more is dropped. Raises MalformedMessage when the agent had no
        credit for it."""
        credit = session.output_credit
        if credit is None or not credit.take(len(piece.data)):
            raise MalformedMessage("output: more than the credit for it")
        watched = self._watched.get((session.host_id, command_id, attempt))
        if watched is not None and watched.ring.add(piece):
            watched.stir()

    def ended(self, host_id: str, command_id: str, attempt: int) -> None:
        """Its result has come."""
        watched = self._watched.get((host_id, command_id, attempt)) if self._watched else None
        if watched is not None:
            watched.ended = True
            watched.stir()

    async def run(self, shutdown: trio.Event) -> None:
        """Grants credit; once `shutdown` is set, all waiting ends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._grant_for_ever)
            await shutdown.wait()
            self.closed = True
            for watched in self._watched.values():
                watched.stir()

    async def _grant_for_ever(self) -> None:
        while True:
            await self._wanted.wait()
            if not self._watched:
                self._wanted = trio.Event()
                continue
            self.grant()
            await trio.sleep(TICK)

    def grant(self) -> None:
        """Every agent that is watched may send a share again."""
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
        """What is looked at of its host is asked for again, from where it broke off."""
        for watched in self._hosts.get(session.host_id, {}).values():
            self._tell(watched)

    def _tell(self, watched: WatchedExecution, *, stop: bool = False) -> None:
        host_id, command_id, attempt = watched.key
        session = self._session(host_id)
        if session is not None and session.welcomed:
            session.push(WatchOutput(host_id, session.number, command_id, attempt, dict(watched.ring.ends), stop))
