"""One live stream of one host, and what waits to go out on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from server.core.effects import Ack, Cancel, Dispatch, Forget, Welcome
from server.core.events import Now
from server.core.results.live_output import OutputCredit, SessionCredit, WatchOutput

Outgoing = Welcome | Dispatch | Cancel | Ack | Forget | WatchOutput | OutputCredit


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """messages: that may wait for one host between two turns of the edge. Bytes are bounded by the lane's write
    queue."""

    messages: int = 256


class Session:
    """host_id, number: unique among all sessions of this server. since: wall clock, ms. ended: why it must close.
    heard: when the agent last said something, ms, at most a heartbeat old. welcomed: the Welcome is on its way, so
    other messages may follow. output_credit: None until output was asked for. quick: a command of a task with few hosts
    waits to go out.

    The outbox is bounded: a host that does not read is cut off rather than waited for. Nothing is lost by that, because
    what it has not acknowledged is matched with its journal when it returns. `stir` is called when there is something
    to do.
    """

    __slots__ = (
        "_limits",
        "_outbox",
        "_stir",
        "ended",
        "heard",
        "host_id",
        "number",
        "output_credit",
        "peer",
        "quick",
        "running",
        "since",
        "welcomed",
    )

    def __init__(
        self, host_id: str, number: int, peer: str, since: int, limits: OutboxLimits, stir: Callable[[Session], None]
    ) -> None:
        self.host_id, self.number, self.peer, self.since = host_id, number, peer, since
        self.heard = since
        self.running = 0
        self.quick = False
        self.ended: str | None = None
        self.welcomed = False
        self.output_credit: SessionCredit | None = None
        self._limits, self._stir = limits, stir
        self._outbox: deque[Outgoing] = deque()

    def push(self, act: Outgoing) -> None:
        """Never waits. Over the limit the session is ended."""
        if self.ended is not None:
            return
        if len(self._outbox) >= self._limits.messages:
            self.end("outbox_full")
        else:
            self._outbox.append(act)
            self.quick = self.quick or (type(act) is Dispatch and act.small)
            self._stir(self)

    def end(self, why: str) -> None:
        """Close it, for the first reason given."""
        if self.ended is None:
            self.ended = why
            self._stir(self)

    def hear(self, now: Now, last_read: float) -> None:
        """Its last byte was read at this time of the monotonic clock."""
        self.heard = max(self.heard, now.wall_ms - round(1000 * max(0.0, now.mono - last_read)))

    def take(self) -> list[Outgoing]:
        """Everything that waits, in order."""
        batch = list(self._outbox)
        self._outbox.clear()
        self.quick = False
        return batch

    def __len__(self) -> int:
        return len(self._outbox)
