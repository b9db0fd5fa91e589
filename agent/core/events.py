"""What the engine is told. Everything it knows of the world came in as one of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from agent.core.model import Key, Report


class Decision(IntEnum):
    """The server's word on an entry of a Hello; numbers as in proto/command.proto."""

    KEEP = 1
    STOP = 2
    ACK = 3
    DROP = 4


# --- from the server --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    key: Key
    decision: Decision


@dataclass(frozen=True, slots=True)
class Welcome:
    """A session is open. credits: results that may be unacknowledged at once; 0: the server states no limit."""

    epoch: int
    session: int
    credits: int
    verdicts: Sequence[Verdict] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """reason: a code of proto/reasons.py."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Run this, if it was never seen before.

    start_within_ms: from now on, 0: no limit. digest: SHA-256 of what is to be run. size: bytes that it may need in the
    spool.
    spec: handed on to Spawn untouched. refusal: why it cannot or must not be run here, if so.
    """

    key: Key
    seq: int
    session: int
    start_within_ms: int
    digest: bytes
    size: int
    spec: object
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """reason: canceled, timeout or expired."""

    key: Key
    seq: int
    session: int
    journal_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResultAck:
    key: Key


@dataclass(frozen=True, slots=True)
class Forget:
    low: int


@dataclass(frozen=True, slots=True)
class Credit:
    results: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream is gone, or was never there."""


# --- from the runner --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShimStarted:
    key: Key
    pid: int
    starttime: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """The command's own process exists. started_at_ms: wall clock."""

    key: Key
    pid: int
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class ShimAdopted:
    """Found alive when the agent came back."""

    key: Key


@dataclass(frozen=True, slots=True)
class ShimExited:
    key: Key
    report: Report


# --- from the journal, the clock and the process itself
# -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalDurable:
    """Everything up to and including this position is on disk."""

    position: int


@dataclass(frozen=True, slots=True)
class JournalFailed:
    """Nothing after the last durable position is on disk, and nothing more will be taken until a Rewrite."""

    message: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The agent is being shut down."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = (
    Welcome
    | Dispatch
    | Cancel
    | ResultAck
    | Forget
    | Credit
    | Disconnected
    | ShimStarted
    | ProcessStarted
    | ShimAdopted
    | ShimExited
    | JournalDurable
    | JournalFailed
    | Stopping
    | Tick
)
