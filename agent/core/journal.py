"""Journal record types: each states one fact that must survive a crash.

`wall_ms` is this machine's wall clock in milliseconds since 1970. New fields are added at the end, with a default, so
that older journals can still be read.
"""

from __future__ import annotations

import msgspec

from agent.core.model import Key, Outcome, Report


class _ExecutionRecord(msgspec.Struct, frozen=True, array_like=True):
    command_id: str
    attempt: int

    @property
    def key(self) -> Key:
        """The execution that the record is about."""
        return self.command_id, self.attempt


class Intent(_ExecutionRecord, frozen=True, array_like=True, tag="intent"):
    """The agent will start the execution. This record is durable before the fork.

    Attributes:
        seq: Dispatch number.
        boot_id: Boot during which the agent decided to start it.
        digest: SHA-256 of what is to be run.
        size: Largest number of bytes that its output may need in the spool.
    """

    seq: int
    boot_id: str
    digest: bytes
    size: int
    wall_ms: int


class Started(_ExecutionRecord, frozen=True, array_like=True, tag="started"):
    """The execution's shim exists.

    Attributes:
        pid: Process id of the shim.
        starttime: Start time of the shim in clock ticks since boot, as in /proc/PID/stat.
        boot_id: Boot during which the shim was started.
    """

    pid: int
    starttime: int
    boot_id: str
    wall_ms: int


class KillIntent(_ExecutionRecord, frozen=True, array_like=True, tag="kill"):
    """The agent will stop the execution. This record is durable before the first signal.

    Attributes:
        reason: canceled, timeout or expired.
    """

    reason: str
    wall_ms: int


class Exit(_ExecutionRecord, frozen=True, array_like=True, tag="exit"):
    """The execution has ended. This record is durable before the result is sent."""

    report: Report
    wall_ms: int


class Acked(_ExecutionRecord, frozen=True, array_like=True, tag="acked"):
    """The server has committed the result. The output may be deleted; the id stays."""

    wall_ms: int


class Tombstone(_ExecutionRecord, frozen=True, array_like=True, tag="tomb"):
    """Only the id of an execution and how it ended.

    The outcome NEVER means that the execution did not start and must never start.
    """

    seq: int
    outcome: Outcome
    reason: str
    wall_ms: int
    exit_code: int | None = None
    signal: int = 0
    message: str = ""


class Low(msgspec.Struct, frozen=True, array_like=True, tag="low"):
    """The server has committed the end of every dispatch number up to and including `seq`."""

    seq: int
    wall_ms: int


class Seen(msgspec.Struct, frozen=True, array_like=True, tag="seen"):
    """The highest dispatch number and the highest server epoch that the agent has received."""

    max_seq: int
    max_epoch: int


Record = Intent | Started | KillIntent | Exit | Acked | Tombstone | Low | Seen
ExecutionRecord = Intent | Started | KillIntent | Exit | Acked
