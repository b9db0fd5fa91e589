"""What a deadline may be about, besides an execution and a task."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.core.state import HostState, LiveTask


@dataclass(slots=True, eq=False)
class DelayedAcks:
    """Acknowledgements that a host gets later, oldest first, and the deadline of the first. acks: (monotonic seconds,
    command_id, attempt)."""

    host: HostState
    acks: deque[tuple[float, str, int]] = field(default_factory=deque)
    ticket: int = 0


@dataclass(slots=True, eq=False)
class StartGrace:
    """The deadline after which hosts that have not come back since the start count as offline."""

    ticket: int = 0


@dataclass(slots=True, eq=False)
class OfflineWait:
    """The deadline after which a task's hosts that are not connected are no longer waited for."""

    live_task: LiveTask
    ticket: int = 0


@dataclass(slots=True, eq=False)
class ElapsedCheckpoint:
    """The time that a task with a limit on it has run, and the deadline at which it is saved again. began: monotonic
    seconds at
    which it would have started, had this server run all the while."""

    live_task: LiveTask
    began: float
    ticket: int = 0
