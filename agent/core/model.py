"""Basic types of the agent: keys, clocks, outcomes and the report of one execution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from proto import kinds

Key = tuple[str, int]
"""(command_id, attempt): identifies one execution on this host."""


@dataclass(frozen=True, slots=True)
class Now:
    """The current time on both clocks.

    Attributes:
        boot_ms: Boot-time clock in milliseconds. Deadlines use this clock.
        wall_ms: Wall clock in milliseconds since 1970. It is used for display and for the age of tombstones only.
    """

    boot_ms: int
    wall_ms: int


class Outcome(IntEnum):
    """How an execution ended: the outcomes of the protocol, and NEVER.

    NEVER means that the execution did not start and must never start.
    """

    NEVER = 0
    COMPLETED = kinds.Outcome.COMPLETED
    FAILED = kinds.Outcome.FAILED
    TIMEOUT = kinds.Outcome.TIMEOUT
    CANCELED = kinds.Outcome.CANCELED
    LOST = kinds.Outcome.LOST


class Stage(IntEnum):
    """How far an execution has progressed: the stages of the protocol, and TOMB.

    TOMB means that only the id and the outcome are kept.
    """

    INTENT = kinds.JournalStage.INTENT
    RUNNING = kinds.JournalStage.RUNNING
    DONE = kinds.JournalStage.DONE
    ACKED = kinds.JournalStage.ACKED
    TOMB = 5


class Digest(msgspec.Struct, frozen=True, array_like=True):
    """Size and hash of one output stream.

    Attributes:
        total_bytes: Bytes that the command wrote.
        head_bytes: Bytes kept of the beginning.
        tail_bytes: Bytes kept of the end.
        sha256: SHA-256 of the whole stream.
    """

    total_bytes: int = 0
    head_bytes: int = 0
    tail_bytes: int = 0
    sha256: bytes = b""


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """CPU time in microseconds and peak memory in KiB of one execution."""

    user_us: int = 0
    system_us: int = 0
    max_rss_kb: int = 0


class Kill(msgspec.Struct, frozen=True, array_like=True):
    """How the shim ended the command.

    Attributes:
        reason: timeout, canceled, expired or output_limit.
        term_at_ms: Wall-clock time of SIGTERM, or 0 if it was not sent.
        kill_at_ms: Wall-clock time of SIGKILL, or 0 if it was not sent.
        tree_empty: True if it is proven that no process of the command is left.
    """

    reason: str
    term_at_ms: int = 0
    kill_at_ms: int = 0
    tree_empty: bool = False


class Report(msgspec.Struct, frozen=True, array_like=True):
    """The end of one execution, without the bytes of its output.

    Attributes:
        error_code: A code of proto/reasons.py; empty when the command completed.
        observed: Bits of `Observed` in proto/command.proto.
    """

    outcome: Outcome
    exit_code: int | None = None
    signal: int = 0
    error_code: str = ""
    error_message: str = ""
    started_at_ms: int = 0
    finished_at_ms: int = 0
    duration_us: int = 0
    stdout: Digest = Digest()
    stderr: Digest = Digest()
    usage: Usage | None = None
    kill: Kill | None = None
    pipe_held: bool = False
    leftovers_killed: int = 0
    left_running: int = 0
    observed: int = 0

    @property
    def kept_bytes(self) -> int:
        """Bytes that the output takes up in the spool."""
        return self.stdout.head_bytes + self.stdout.tail_bytes + self.stderr.head_bytes + self.stderr.tail_bytes


def lost_report(reason: str, message: str) -> Report:
    """Build the report of an execution that may have run, with an unknown result.

    Args:
        reason: journal_lost, shim_died or rebooted.
        message: The explanation for people.
    """
    return Report(Outcome.LOST, error_code=reason, error_message=message)
