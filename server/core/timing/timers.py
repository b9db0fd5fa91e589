"""Items with a deadline, other than executions and tasks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.core.live import HostState, LiveTask


@dataclass(slots=True, eq=False)
class DelayedAcks:
    """Acknowledgements that a host gets later.

    Attributes:
        host: The host.
        acks: (monotonic seconds, command id, attempt), oldest first. The first one's time is the deadline.
        ticket: Used by `Deadlines`.
    """

    host: HostState
    acks: deque[tuple[float, str, int]] = field(default_factory=deque)
    ticket: int = 0


@dataclass(slots=True, eq=False)
class StartGrace:
    """The deadline after which hosts that have not reconnected since the server's start count as offline."""

    ticket: int = 0


@dataclass(slots=True, eq=False)
class OfflineWait:
    """The deadline up to which a task waits for offline hosts."""

    live_task: LiveTask
    ticket: int = 0


@dataclass(slots=True, eq=False)
class ElapsedCheckpoint:
    """The time that a task with a time limit has run, and the deadline at which it is saved.

    Attributes:
        live_task: The task.
        began: Monotonic seconds at which the task would have started if this server had run it all the time.
        ticket: Used by `Deadlines`.
    """

    live_task: LiveTask
    began: float
    ticket: int = 0
