"""What the engine is told. Everything it knows of the world came in as one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from msgspec import Struct, field

from server.core.model import Command, Execution, Output, Task


class Now(Struct, frozen=True, gc=False):
    """The two clocks. mono: seconds, for deadlines only. wall_ms: milliseconds since 1970, for timestamps only."""

    mono: float
    wall_ms: int


class Outcome(IntEnum):
    """How an agent says an execution ended; numbers as in proto/command.proto."""

    COMPLETED = 1
    FAILED = 2
    TIMEOUT = 3
    CANCELED = 4
    LOST = 5


class JournalStage(IntEnum):
    """How far an agent's journal says an execution has come; numbers as in proto/command.proto."""

    INTENT = 1
    RUNNING = 2
    DONE = 3
    ACKED = 4


# --- from operators -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskCreated:
    """The task, its command and its rows are committed."""

    task: Task
    command: Command


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """An operator wants it to run."""

    task_id: str


@dataclass(frozen=True, slots=True)
class TaskCanceled:
    """An operator wants it to end. force: executions of hosts that are away are given up at once, as lost."""

    task_id: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionsCanceled:
    """An operator wants it to end on these hosts; the others go on. Hosts that the task does not have, or on which it
    has ended,
    are passed over."""

    task_id: str
    host_ids: Sequence[str]
    force: bool = False


@dataclass(frozen=True, slots=True)
class TaskDeleted:
    """An operator deletes it, and the deletion is committed. Only for tasks that do not run."""

    task: Task


# --- from the store, once, before any session ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskLoaded:
    """A task that was not final when the server stopped, with its rows that were not final."""

    task: Task
    command: Command
    executions: Sequence[Execution] = ()


@dataclass(frozen=True, slots=True)
class HostLoaded:
    """A known host, the highest dispatch number it was ever given, and the highest epoch that it has claimed to have
    met."""

    host_id: str
    max_seq: int
    max_epoch: int = 0


@dataclass(frozen=True, slots=True)
class DatabaseRestored:
    """The database is a backup: what has happened since it was made is not known of any open execution."""


# --- from agents -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One execution that an agent's journal still holds."""

    command_id: str
    attempt: int
    seq: int
    stage: JournalStage


@dataclass(frozen=True, slots=True)
class HostConnected:
    """A session is open and its Hello has been read. slots: commands the agent runs at once."""

    host_id: str
    session: int
    journal_id: str
    slots: int
    max_seq: int = 0
    entries: Sequence[JournalEntry] = ()
    max_epoch: int = 0


@dataclass(frozen=True, slots=True)
class HostDisconnected:
    """That session is over. Of no effect when a newer one is open."""

    host_id: str
    session: int


@dataclass(frozen=True, slots=True)
class HostDeleted:
    """An operator deletes the host. Only for hosts that are not connected and have nothing open."""

    host_id: str


@dataclass(frozen=True, slots=True)
class UnknownExecutions:
    """Of these executions, which its Hello named, the database knows nothing, and no deleted task had them.
    entries: (command_id, attempt, seq, stage)."""

    host_id: str
    entries: Sequence[tuple[str, int, int, int]]


class Accepted(Struct, frozen=True, gc=False):
    host_id: str
    command_id: str
    attempt: int


class Rejected(Struct, frozen=True, gc=False):
    """It never started and never will. reason: a code of proto/reasons.py."""

    host_id: str
    command_id: str
    attempt: int
    reason: str
    message: str = ""


class Started(Struct, frozen=True, gc=False):
    host_id: str
    command_id: str
    attempt: int
    pid: int
    agent_started_at: int


class Result(Struct, frozen=True, gc=False):
    """The final report. `report` holds what people may want to read later: usage, kill report, flags."""

    host_id: str
    command_id: str
    attempt: int
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    agent_started_at: int | None = None
    agent_finished_at: int | None = None
    execution_ms: int | None = None
    stdout: Output | None = None
    stderr: Output | None = None
    report: Mapping[str, object] = field(default_factory=dict)


# --- from the clock --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: deadlines that are over are acted upon, and more of what waits is admitted."""


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """This server is about to end in good order: what only it knows is to be saved."""


Report = Accepted | Rejected | Started | Result
"""What an agent says of an execution."""

Event = (
    TaskCreated
    | TaskStarted
    | TaskCanceled
    | ExecutionsCanceled
    | TaskDeleted
    | TaskLoaded
    | HostLoaded
    | DatabaseRestored
    | HostConnected
    | HostDisconnected
    | HostDeleted
    | UnknownExecutions
    | Accepted
    | Rejected
    | Started
    | Result
    | Tick
    | ServerStopping
)
