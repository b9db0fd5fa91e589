"""One live stream of one host, and what waits to go out on it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import trio

from server.core.effects import Ack, Cancel, Dispatch, Welcome

Outgoing = Welcome | Dispatch | Cancel | Ack


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """messages: that may wait for one host. bytes is checked by the edge, which knows sizes."""

    messages: int = 256


class Session:
    """host_id, number: unique among all sessions of this server. since: wall clock, ms. ended: why it must close.

    The outbox is bounded: a host that does not read is cut off rather than waited for. Nothing is lost by that, because
    what it has not acknowledged is matched with its journal when it returns.
    """

    __slots__ = ("_limits", "_outbox", "_stirred", "ended", "host_id", "number", "peer", "running", "since")

    def __init__(self, host_id: str, number: int, peer: str, since: int, limits: OutboxLimits) -> None:
        self.host_id, self.number, self.peer, self.since = host_id, number, peer, since
        self.running = 0
        self.ended: str | None = None
        self._limits = limits
        self._outbox: deque[Outgoing] = deque()
        self._stirred = trio.Event()

    def push(self, act: Outgoing) -> None:
        """Never waits. Over the limit the session is ended."""
        if self.ended is not None:
            return
        if len(self._outbox) >= self._limits.messages:
            self.end("outbox_full")
        else:
            self._outbox.append(act)
            self._stirred.set()

    def end(self, why: str) -> None:
        """Close it, for the first reason given."""
        if self.ended is None:
            self.ended = why
            self._stirred.set()

    def stir(self) -> None:
        """Wake whoever waits, although nothing was pushed."""
        self._stirred.set()

    async def wait(self) -> None:
        """Return once there is something to take, to answer, or the session has been ended."""
        if not self._outbox and self.ended is None:
            await self._stirred.wait()
        else:
            await trio.lowlevel.checkpoint()
        self._stirred = trio.Event()

    def take(self) -> list[Outgoing]:
        """Everything that waits, in order."""
        batch = list(self._outbox)
        self._outbox.clear()
        return batch

    def __len__(self) -> int:
        return len(self._outbox)
