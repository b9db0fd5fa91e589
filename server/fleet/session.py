"""A live stream of a host and the messages that wait to be sent on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from server.core.effects import Ack, Cancel, Dispatch, Forget, Welcome
from server.core.events import Now
from server.core.results.live_output import OutputCredit, SessionCredit, WatchOutput
from server.settings.sections.agent_port import AgentPort

Outgoing = Welcome | Dispatch | Cancel | Ack | Forget | WatchOutput | OutputCredit


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Limits of a session's outbox.

    Attributes:
        messages: Messages that may wait between two writes. The write queue of the connection limits the bytes.
    """

    messages: int = AgentPort().outbox_messages


class Session:
    """A live stream of a host.

    The outbox is limited: the session of a host that does not read is ended. Nothing is lost, because everything that
    the host has not acknowledged is matched with its journal when it reconnects.

    Attributes:
        host_id: Id of the host.
        number: Number of the session, unique over all starts of the server.
        peer: Address of the agent.
        since: When the session began, in milliseconds since 1970.
        last_heard_at: When the agent last sent something, in milliseconds since 1970. It is at most a heartbeat old.
        running: Commands that run on the host, as its agent reports.
        quick: A command of a small task waits to be sent.
        ended: Why the session must end; None while it is open.
        welcomed: The Welcome is queued, so other messages may follow.
        output_credit: Credit for live output; None until output was requested.
    """

    __slots__ = (
        "_limits",
        "_notify",
        "_outbox",
        "ended",
        "host_id",
        "last_heard_at",
        "number",
        "output_credit",
        "peer",
        "quick",
        "running",
        "since",
        "welcomed",
    )

    def __init__(
        self, host_id: str, number: int, peer: str, since: int, limits: OutboxLimits, notify: Callable[[Session], None]
    ) -> None:
        """Create a session.

        Args:
            host_id: Id of the host.
            number: Number of the session.
            peer: Address of the agent.
            since: The current time, in milliseconds since 1970.
            limits: Limits of the outbox.
            notify: Called when the session has something to send or has to end.
        """
        self.host_id, self.number, self.peer, self.since = host_id, number, peer, since
        self.last_heard_at = since
        self.running = 0
        self.quick = False
        self.ended: str | None = None
        self.welcomed = False
        self.output_credit: SessionCredit | None = None
        self._limits, self._notify = limits, notify
        self._outbox: deque[Outgoing] = deque()

    def push(self, act: Outgoing) -> None:
        """Queue a message. It never waits; if the outbox is full, the session is ended."""
        if self.ended is not None:
            return
        if len(self._outbox) >= self._limits.messages:
            self.end("outbox_full")
        else:
            self._outbox.append(act)
            self.quick = self.quick or (type(act) is Dispatch and act.small)
            self._notify(self)

    def end(self, why: str) -> None:
        """End the session. The first reason counts."""
        if self.ended is None:
            self.ended = why
            self._notify(self)

    def record_read(self, now: Now, last_read: float) -> None:
        """Record when the agent last sent something.

        Args:
            now: The current time.
            last_read: Monotonic seconds of the last read.
        """
        self.last_heard_at = max(self.last_heard_at, now.wall_ms - round(1000 * max(0.0, now.mono - last_read)))

    def take(self) -> list[Outgoing]:
        """Remove and return all waiting messages, in order."""
        batch = list(self._outbox)
        self._outbox.clear()
        self.quick = False
        return batch

    def __len__(self) -> int:
        """Return the number of waiting messages."""
        return len(self._outbox)
