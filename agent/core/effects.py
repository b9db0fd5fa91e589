"""What the engine asks for. Effects are carried out in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.journal import Record
from agent.core.model import Key, Outcome, Report, Stage

# --- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    key: Key


@dataclass(frozen=True, slots=True)
class Rejected:
    key: Key
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Started:
    key: Key
    pid: int
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    """stored: head and tail lie in the execution's directory and go with it."""

    key: Key
    report: Report
    stored: bool


Message = Accepted | Rejected | Started | Result


@dataclass(frozen=True, slots=True)
class Entry:
    key: Key
    seq: int
    stage: Stage
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Hello:
    """What this agent still holds, as far as it is on its disk."""

    journal_id: str
    max_seq: int
    max_epoch: int
    entries: Sequence[Entry]


# --- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """Write these and, when they are on disk, say JournalDurable with this position."""

    position: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Replace the whole journal by these records, under the same journal_id; then as with Append."""

    position: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Spawn:
    key: Key
    spec: object


@dataclass(frozen=True, slots=True)
class Stop:
    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Only ever given while a session is open."""

    message: Message


@dataclass(frozen=True, slots=True)
class Remove:
    """The execution's directory is no longer needed."""

    key: Key


@dataclass(frozen=True, slots=True)
class Wake:
    """Say Tick at this time of the boot-time clock."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Note:
    """For the log: something was met that the protocol says to pass over."""

    what: str
    key: Key | None = None


Effect = Append | Rewrite | Spawn | Stop | Send | Remove | Wake | Note
