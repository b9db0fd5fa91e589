"""Events: the engine's only input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.model import Key, Report
from proto.kinds import Decision as Decision

# --- from the server --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision of the server with the execution it is about."""

    key: Key
    decision: Decision


@dataclass(frozen=True, slots=True)
class Welcome:
    """A session is open.

    Attributes:
        epoch: Epoch of the server.
        session: Number of the session.
        credits: Number of results that may be unacknowledged at the same time; 0 means no limit.
        verdicts: Decisions about the executions in the agent's Hello.
    """

    epoch: int
    session: int
    credits: int
    verdicts: Sequence[Verdict] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the agent refuses a dispatch.

    Attributes:
        reason: A code of proto/reasons.py.
        message: The explanation for people.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The server asks the agent to run a command, unless the agent knows the execution already.

    Attributes:
        start_within_ms: Time from now in which the command must start; 0 means no limit.
        digest: SHA-256 of what is to be run.
        size: Largest number of bytes that its output may need in the spool.
        spec: Passed on to Spawn unchanged.
        refusal: Why the command cannot or must not run here, or None.
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
    """The server asks the agent to stop an execution.

    Attributes:
        reason: canceled, timeout or expired.
    """

    key: Key
    seq: int
    session: int
    journal_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResultAck:
    """The server has committed a result."""

    key: Key


@dataclass(frozen=True, slots=True)
class Forget:
    """The server has committed the end of every dispatch number up to and including `low`."""

    low: int


@dataclass(frozen=True, slots=True)
class Credit:
    """The server allows this many more unacknowledged results."""

    results: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream has ended or could not be opened."""


# --- from the runner --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShimStarted:
    """The shim of an execution exists."""

    key: Key
    pid: int
    starttime: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """The command's main process exists.

    Attributes:
        pid: Process id of the main process.
        started_at_ms: Wall-clock time of its start.
    """

    key: Key
    pid: int
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class ShimAdopted:
    """The agent found this shim alive after its own restart."""

    key: Key


@dataclass(frozen=True, slots=True)
class ShimExited:
    """The execution has ended with this report."""

    key: Key
    report: Report


# --- from the journal, the clock and the process itself ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalDurable:
    """All records up to and including this position are on disk."""

    position: int


@dataclass(frozen=True, slots=True)
class JournalFailed:
    """The journal accepts no records until it is rewritten.

    Records after the last durable position are not on disk.
    """

    message: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The agent is shutting down."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that the last Wake asked for has passed."""


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
