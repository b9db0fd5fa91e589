"""The events of the engine. All that the engine knows arrives as one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct, field

from proto.kinds import JournalStage as JournalStage
from proto.kinds import Outcome as Outcome
from server.core.limits import EngineLimits
from server.core.model import Command, Execution, Output, Task


class Now(Struct, frozen=True, gc=False):
    """The current time.

    Attributes:
        mono: Seconds on the monotonic clock, for deadlines only.
        wall_ms: Milliseconds since 1970, for timestamps only.
    """

    mono: float
    wall_ms: int


# --- operators ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskCreated:
    """A task, its command and its executions are committed."""

    task: Task
    command: Command


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """An operator starts a task."""

    task_id: str


@dataclass(frozen=True, slots=True)
class TaskCanceled:
    """An operator cancels a task.

    Attributes:
        task_id: Id of the task.
        force: Executions on offline hosts become lost at once.
    """

    task_id: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionsCanceled:
    """An operator cancels a task on some hosts; the others continue.

    Attributes:
        task_id: Id of the task.
        host_ids: The hosts. Hosts that the task does not have, or on which it has ended, are ignored.
        force: Executions on offline hosts become lost at once.
    """

    task_id: str
    host_ids: Sequence[str]
    force: bool = False


@dataclass(frozen=True, slots=True)
class TaskDeleted:
    """An operator deletes a task that does not run, and the deletion is committed."""

    task: Task


# --- the store, once, before any session -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskLoaded:
    """A task that was not final when the server stopped, with its executions that were not final."""

    task: Task
    command: Command
    executions: Sequence[Execution] = ()


@dataclass(frozen=True, slots=True)
class HostLoaded:
    """A known host.

    Attributes:
        host_id: Id of the host.
        max_seq: The highest dispatch number that was reserved for it.
        max_epoch: The highest server epoch that it has reported.
    """

    host_id: str
    max_seq: int
    max_epoch: int = 0


@dataclass(frozen=True, slots=True)
class DatabaseRestored:
    """The database is a restored backup: events after the backup are unknown for every open execution."""


# --- agents ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One execution that an agent's journal still contains."""

    command_id: str
    attempt: int
    seq: int
    stage: JournalStage


@dataclass(frozen=True, slots=True)
class HostConnected:
    """A session is open and its Hello was read.

    Attributes:
        host_id: Id of the host.
        session: Number of the session.
        journal_id: Id of the agent's journal.
        slots: Commands that the agent runs at the same time.
        max_seq: The highest dispatch number that the agent has seen.
        entries: The journal's entries.
        max_epoch: The highest server epoch that the agent has seen.
    """

    host_id: str
    session: int
    journal_id: str
    slots: int
    max_seq: int = 0
    entries: Sequence[JournalEntry] = ()
    max_epoch: int = 0


@dataclass(frozen=True, slots=True)
class HostDisconnected:
    """A session has ended. It has no effect when a newer session is open."""

    host_id: str
    session: int


@dataclass(frozen=True, slots=True)
class HostDeleted:
    """An operator deletes a host that is not connected and has no open executions."""

    host_id: str


@dataclass(frozen=True, slots=True)
class UnknownExecutions:
    """Executions of a Hello that the database has no row for and that no deleted task had.

    Attributes:
        host_id: Id of the host.
        entries: (command id, attempt, dispatch number, stage) of each.
    """

    host_id: str
    entries: Sequence[tuple[str, int, int, int]]


class Accepted(Struct, frozen=True, gc=False):
    """The agent's journal contains the execution."""

    host_id: str
    command_id: str
    attempt: int


class Rejected(Struct, frozen=True, gc=False):
    """The execution never started and never will.

    Attributes:
        host_id: Id of the host.
        command_id: Id of the command.
        attempt: The attempt.
        reason: A code of proto/reasons.py.
        message: Details for people.
    """

    host_id: str
    command_id: str
    attempt: int
    reason: str
    message: str = ""


class Started(Struct, frozen=True, gc=False):
    """The execution's process exists."""

    host_id: str
    command_id: str
    attempt: int
    pid: int
    agent_started_at: int


class Result(Struct, frozen=True, gc=False):
    """The final report of an execution.

    Attributes:
        host_id: Id of the host.
        command_id: Id of the command.
        attempt: The attempt.
        outcome: How it ended.
        exit_code: Exit code of the process.
        signal: Signal that ended the process.
        error_code: A code of proto/reasons.py.
        error_message: Details for people.
        agent_started_at: Start of the process by the agent's clock, in milliseconds since 1970.
        agent_finished_at: End of the process by the agent's clock, in milliseconds since 1970.
        execution_ms: How long the process ran.
        stdout: What is kept of stdout; None if the process wrote nothing.
        stderr: What is kept of stderr; None if the process wrote nothing.
        report: Values for people: usage, kill report, flags.
    """

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


# --- the clock -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: due deadlines are handled, and another slice of waiting executions is admitted."""


@dataclass(frozen=True, slots=True)
class LimitsChanged:
    """An operator has changed limits of the engine.

    Limits of a task hold for tasks that are created or loaded later, `in_flight_per_host` for hosts that connect later.
    """

    limits: EngineLimits


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """The server is about to stop in an orderly way, so values that are only in memory are saved."""


Report = Accepted | Rejected | Started | Result
"""A report of an agent about an execution."""

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
    | LimitsChanged
    | Tick
    | ServerStopping
)
