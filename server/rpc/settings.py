"""What the agents' edge is told, and what it needs of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.core.effects import Save
from server.rpc.session.encode import Terms


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes. goodbye: between the end of a call and the closing of a
    connection that lingers. caller_age: how long a connection may ask for health or reflection without being an
    agent's.
    send_timeout: within which an agent takes what waits for it. pulse: how exactly heartbeats and silences are kept."""

    terms: Terms
    max_message: int = 4 << 20
    hello_timeout: float = 10.0
    drain_min: float = 1.0
    drain_max: float = 10.0
    goodbye: float = 5.0
    caller_age: float = 600.0
    send_timeout: float = 30.0
    pulse: float = 1.0


class Queue(Protocol):
    """The writer, as the edge sees it."""

    def put(self, saves: Sequence[Save]) -> None: ...

    async def wait_reading(self) -> None: ...

    @property
    def full(self) -> bool: ...

    @property
    def lags(self) -> bool: ...


class Counts(Protocol):
    """Metrics of the agent port."""

    def session_opened(self) -> None: ...

    def session_closed(self) -> None: ...

    def join_refused(self) -> None: ...

    def refused(self, reason: str) -> None:
        """A connection was turned away, or cut off, before it was a session."""

    def command_reported(self, seconds: float) -> None: ...
