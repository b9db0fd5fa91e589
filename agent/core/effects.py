"""Effects: what the engine asks its caller to do, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.journal import Record
from agent.core.model import Key, Outcome, Report, Stage

# --- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The agent has accepted a dispatch."""

    key: Key


@dataclass(frozen=True, slots=True)
class Rejected:
    """The agent refuses a dispatch."""

    key: Key
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """The command's main process exists."""

    key: Key
    pid: int
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an execution.

    Attributes:
        stored: True if head and tail of the output are in the execution's directory and must be sent with the result.
    """

    key: Key
    report: Report
    stored: bool


Message = Accepted | Rejected | Started | Result


@dataclass(frozen=True, slots=True)
class Entry:
    """One execution in a Hello."""

    key: Key
    seq: int
    stage: Stage
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Hello:
    """The executions that this agent still holds, as far as its durable records show."""

    journal_id: str
    max_seq: int
    max_epoch: int
    entries: Sequence[Entry]


# --- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """Append these records; report JournalDurable with this position when they are on disk."""

    position: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Replace the whole journal by these records under the same journal_id; then report JournalDurable."""

    position: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the shim of an execution."""

    key: Key
    spec: object


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the shim of an execution to end it."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message. The engine emits it only while a session is open."""

    message: Message


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the directory of an execution."""

    key: Key


@dataclass(frozen=True, slots=True)
class Wake:
    """Deliver a Tick at this time of the boot-time clock, in milliseconds."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Note:
    """Write a log event.

    Attributes:
        event: Name of the event in snake_case.
        key: The execution that it is about, or None.
        message: Details for people.
    """

    event: str
    key: Key | None = None
    message: str = ""


Effect = Append | Rewrite | Spawn | Stop | Send | Remove | Wake | Note
