"""Settings of the agent port, and what it needs of the writer and the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.core.effects import Save
from server.settings.sections.agent_port import AgentPort
from server.settings.sections.guard import Guard
from server.settings.sections.liveness import Liveness

_PORT, _GUARD, _LIVENESS = AgentPort(), Guard(), Liveness()


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
    credits: int = _PORT.max_unacked_results
    heartbeat: float = _LIVENESS.heartbeat
    silence: float = _LIVENESS.heartbeat_timeout


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
    max_message: int = _PORT.max_message
    hello_timeout: float = _PORT.hello_timeout
    drain_min: float = _LIVENESS.drain_min
    drain_max: float = _LIVENESS.drain_max
    goodbye: float = 5.0
    caller_age: float = _PORT.probe_connection_ttl
    send_timeout: float = _GUARD.send_timeout
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
