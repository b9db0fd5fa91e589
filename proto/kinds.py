"""Numbered kinds that server and agent share; the numbers are those of proto/command.proto.

Both engines use these plain enums, because the generated enums of betterproto belong to the wire format only.
"""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """How an execution ended, as an agent reports it."""

    COMPLETED = 1
    FAILED = 2
    TIMEOUT = 3
    CANCELED = 4
    LOST = 5


class JournalStage(IntEnum):
    """How far an execution has progressed according to the agent's journal."""

    INTENT = 1
    RUNNING = 2
    DONE = 3
    ACKED = 4


class Decision(IntEnum):
    """The server's decision about one entry of a Hello."""

    KEEP = 1
    STOP = 2
    ACK = 3
    DROP = 4
