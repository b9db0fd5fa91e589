"""What the journal holds: the record types, each saying one thing that must survive a crash.

Times (`wall_ms`) are this machine's wall clock in milliseconds since 1970. New fields go to the end, with a default.
"""

from __future__ import annotations

import msgspec

from agent.core.model import Key, Outcome, Report


class _Of(msgspec.Struct, frozen=True, array_like=True):
    command_id: str
    attempt: int

    @property
    def key(self) -> Key:
        return self.command_id, self.attempt


class Intent(_Of, frozen=True, array_like=True, tag="intent"):
    """It will be started. Durable before the fork.

    boot_id: of the boot in which that was decided. digest: SHA-256 of what is to be run. size: bytes that the spool
    must have
    for it in the worst case.
    """

    seq: int
    boot_id: str
    digest: bytes
    size: int
    wall_ms: int


class Started(_Of, frozen=True, array_like=True, tag="started"):
    """Its shim exists. starttime: the shim's, in clock ticks since boot, as in /proc/PID/stat."""

    pid: int
    starttime: int
    boot_id: str
    wall_ms: int


class KillIntent(_Of, frozen=True, array_like=True, tag="kill"):
    """It will be stopped. Durable before the first signal. reason: canceled or timeout."""

    reason: str
    wall_ms: int


class Exit(_Of, frozen=True, array_like=True, tag="exit"):
    """It has ended. Durable before the result is sent."""

    report: Report
    wall_ms: int


class Acked(_Of, frozen=True, array_like=True, tag="acked"):
    """The server has committed the result; the output may go, the id stays."""

    wall_ms: int


class Tombstone(_Of, frozen=True, array_like=True, tag="tomb"):
    """Nothing but the id and how it ended. outcome NEVER: it did not start and must never start."""

    seq: int
    outcome: Outcome
    reason: str
    wall_ms: int
    exit_code: int | None = None
    signal: int = 0
    message: str = ""


class Low(msgspec.Struct, frozen=True, array_like=True, tag="low"):
    """The server has committed the end of every dispatch number up to and including seq."""

    seq: int
    wall_ms: int


class Seen(msgspec.Struct, frozen=True, array_like=True, tag="seen"):
    """The highest dispatch number and server epoch ever met."""

    max_seq: int
    max_epoch: int


Record = Intent | Started | KillIntent | Exit | Acked | Tombstone | Low | Seen
OfExecution = Intent | Started | KillIntent | Exit | Acked
