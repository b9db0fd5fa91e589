"""The agent's nouns: keys, clocks, outcomes and the report of one execution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec

Key = tuple[str, int]
"""(command_id, attempt): what one execution is called on this host."""


@dataclass(frozen=True, slots=True)
class Now:
    """boot_ms: milliseconds of the boot-time clock, for deadlines. wall_ms: milliseconds since 1970, for people and for
    the
    age of tombstones only."""

    boot_ms: int
    wall_ms: int


class Outcome(IntEnum):
    """How an execution ended; numbers as in proto/command.proto. NEVER: it did not start, and never will."""

    NEVER = 0
    COMPLETED = 1
    FAILED = 2
    TIMEOUT = 3
    CANCELED = 4
    LOST = 5


class Stage(IntEnum):
    """How far an execution has come; numbers as in proto/command.proto. TOMB: only its id and outcome are kept."""

    INTENT = 1
    RUNNING = 2
    DONE = 3
    ACKED = 4
    TOMB = 5


class Digest(msgspec.Struct, frozen=True, array_like=True):
    """One output stream: bytes written in all, bytes kept of its head and tail, and the SHA-256 of all of it."""

    total_bytes: int = 0
    head_bytes: int = 0
    tail_bytes: int = 0
    sha256: bytes = b""


class Usage(msgspec.Struct, frozen=True, array_like=True):
    user_us: int = 0
    system_us: int = 0
    max_rss_kb: int = 0


class Kill(msgspec.Struct, frozen=True, array_like=True):
    """reason: timeout, canceled or output_limit. Times are the wall clock's, 0: that signal was not sent."""

    reason: str
    term_at_ms: int = 0
    kill_at_ms: int = 0
    tree_empty: bool = False


class Report(msgspec.Struct, frozen=True, array_like=True):
    """The end of one execution, without the output's bytes. error_code: a code of proto/reasons.py, empty when
    completed."""

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
    """Bits of Observed in proto/command.proto."""

    @property
    def kept_bytes(self) -> int:
        """What its output takes up in the spool."""
        return self.stdout.head_bytes + self.stdout.tail_bytes + self.stderr.head_bytes + self.stderr.tail_bytes


def lost(reason: str, message: str) -> Report:
    """It may have run, and nobody can say. reason: journal_lost, shim_died or rebooted."""
    return Report(Outcome.LOST, error_code=reason, error_message=message)
