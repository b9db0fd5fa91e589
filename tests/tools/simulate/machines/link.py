"""Connections between an agent and the server: first in, first out, with network faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tests.tools.simulate.loop import Loop

UP, DOWN = 0, 1
SILENCE = 45.0
"""Seconds without a message after which a side closes the connection (docs/design/protocol.md, Heartbeats)."""


class End(Protocol):
    """One side of a connection."""

    def receive(self, link: Link, message: object) -> bool:
        """Handle a message; False to leave it in the socket for now."""

    @property
    def busy_for(self) -> float:
        """Return about how many seconds pass until it may handle the message that it left."""

    def lost(self, link: Link, why: str) -> None: ...


class Link:
    """A connection.

    Attributes:
        host_id: Its host.
        ends: The agent's side and the server's side; None once that side has closed or died.
        sent: Number of sent messages by direction.
        arrived: Number of arrived messages by direction.
        until: No message after this number arrives (None: all arrive).
    """

    def __init__(self, loop: Loop, host_id: str, agent: End, server: End, delay: Callable[[], float]) -> None:
        self.loop, self.host_id, self._delay = loop, host_id, delay
        self.ends: list[End | None] = [agent, server]
        self.sent, self.arrived, self.until = [0, 0], [0, 0], [1 << 60, 1 << 60]
        self._due = [0.0, 0.0]

    @property
    def whole(self) -> bool:
        return self.ends[0] is not None and self.ends[1] is not None

    def send(self, way: int, message: object) -> None:
        """Send a message (UP: from the agent). Never waits and never fails."""
        self.sent[way] += 1
        self._plan(way, self._arrive, way, self.sent[way], message)

    def _plan(self, way: int, what: Callable[..., None], *args: object) -> None:
        due = self._due[way] = max(self._due[way], self.loop.now + self._delay())
        self.loop.at(due - self.loop.now, what, *args)

    def _arrive(self, way: int, number: int, message: object) -> None:
        end = self.ends[1 - way]
        if end is None or number > self.until[way]:
            return
        if number != self.arrived[way] + 1 or not end.receive(self, message):
            self.loop.at(
                end.busy_for, self._arrive, way, number, message
            )  # behind one that its receiver has not taken yet
            return
        self.arrived[way] = number

    # --- ends
    # ------------------------------------------------------------------------------------------------------------

    def close(self, way: int, why: str) -> None:
        """One side is closed: the other side sees the end after the messages sent before."""
        if self.ends[way] is None:
            return
        self.ends[way] = None
        if self.until[way] == 1 << 60:
            self._plan(way, self._closed, way, why)
        self.until[1 - way] = -1

    def _closed(self, way: int, why: str) -> None:
        end = self.ends[1 - way]
        if end is not None and self.arrived[way] < min(self.sent[way], self.until[way]):
            self.loop.at(end.busy_for, self._closed, way, why)
            return
        self._lose(1 - way, why)

    def _lose(self, side: int, why: str) -> None:
        end, self.ends[side] = self.ends[side], None
        if end is not None:
            end.lost(self, why)

    # --- faults
    # ------------------------------------------------------------------------------------------------------------

    def cut(self, kept_up: int, kept_down: int) -> None:
        """Reset: some messages in transit still arrive, then both sides see the end."""
        for way, kept in ((UP, kept_up), (DOWN, kept_down)):
            self.until[way] = min(self.until[way], self.arrived[way] + kept)
            self._plan(way, self._lose, 1 - way, "reset")

    def mute(self, way: int) -> None:
        """Drop all further messages in this direction without an error; the receiver closes the connection after
        SILENCE.
        """
        if self.until[way] == 1 << 60:
            self.until[way] = self.arrived[way]
            self.hear_nothing(1 - way)

    def hear_nothing(self, side: int) -> None:
        """Receive nothing from now on, even without faults, because the other side is stopped."""
        self.loop.at(SILENCE, self._give_up, side)

    def _give_up(self, side: int) -> None:
        if self.ends[side] is not None:
            other = side  # it closes, and says so in the direction that it speaks in
            end = self.ends[side]
            self.close(other, "silence")
            assert end is not None
            end.lost(self, "silence")
