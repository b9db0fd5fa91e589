"""The nouns: Task, Command, Execution, Output, Host and what belongs to joining. Plain data without behaviour or clock.

Times named `*_at` are milliseconds since 1970 UTC by the server's clock. Times named `agent_*_at` are by the agent's
clock; they are shown to people and never compared with the server's. Times named `*_ms` are durations. An absent value
is None.

Objects that exist per host or message are msgspec Structs, here and in events.py and effects.py: creating a frozen
dataclass of fourteen fields takes ten times as long. None of them can be part of a reference cycle, so the garbage
collector is told to skip them.
"""

from __future__ import annotations

from server.core.model.execution import Execution, Output
from server.core.model.host import Host
from server.core.model.joining import HostIdentity, JoinRequest, JoinToken
from server.core.model.task import COUNTS_ZERO, Command, Retry, Task

__all__ = [
    "COUNTS_ZERO",
    "Command",
    "Execution",
    "Host",
    "HostIdentity",
    "JoinRequest",
    "JoinToken",
    "Output",
    "Retry",
    "Task",
]
