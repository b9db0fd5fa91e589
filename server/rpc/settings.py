"""Settings of the agent port, and what it needs of the writer and the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.core.effects import Save


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """The conditions that the server announces in the Welcome of every session.

    Attributes:
        epoch: number of this start of the server.
        credits: results that an agent may have sent and not seen acknowledged.
        heartbeat: seconds between two heartbeats.
        silence: seconds without a message after which either side gives the session up.
    """

    epoch: int
    credits: int = 64
    heartbeat: float = 15.0
    silence: float = 45.0


@dataclass(frozen=True, slots=True)
class AgentPortSettings:
    """Settings of sessions and of the connections that become sessions. Times in seconds, sizes in bytes.

    Attributes:
        terms: what the server announces to each session.
        max_message: largest message.
        hello_timeout: from the acceptance of a connection to its Hello.
        drain_min: shortest time after which a drained agent reconnects.
        drain_max: longest such time.
        goodbye: from the end of a call to the forced close of its connection.
        caller_age: lifetime of a connection that only asks for health or reflection.
        send_timeout: within which an agent must take the bytes that are queued for it.
        pulse: resolution of heartbeats and timeouts.
    """

    terms: SessionTerms
    max_message: int = 4 << 20
    hello_timeout: float = 10.0
    drain_min: float = 1.0
    drain_max: float = 10.0
    goodbye: float = 5.0
    caller_age: float = 600.0
    send_timeout: float = 30.0
    pulse: float = 1.0


class WriterQueue(Protocol):
    """The part of the writer that the agent port needs."""

    def put(self, saves: Sequence[Save]) -> None: ...

    async def wait_reading(self) -> None: ...

    @property
    def full(self) -> bool: ...

    @property
    def lags(self) -> bool: ...


class AgentPortMetrics(Protocol):
    """Metrics of the agent port."""

    def session_opened(self) -> None: ...

    def session_closed(self) -> None: ...

    def join_refused(self) -> None: ...

    def refused(self, reason: str) -> None:
        """Count a connection that was refused or cut off before it became a session."""

    def command_reported(self, seconds: float) -> None: ...
