"""The contract of a store. `tests/store/conformance/suite.py` executes this page.

One server uses a store. Only the writer calls `write`, one call at a time; reads may run at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from server.core.effects import Save
from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Task
from server.core.results.groups import Kind, ResultGroup
from server.core.states import ExecutionStatus, TaskStatus
from server.store.heal import Healed
from server.store.lease import Holder, Lease

if TYPE_CHECKING:
    from server.store.tables.registry import Tables

T = TypeVar("T")


class StoreUnavailable(Exception):
    """The database cannot be reached or has no space left; the same call may succeed later.

    Whether a write was applied is not known.
    """


class StoreRefused(Exception):
    """The database will never accept this: a bad login, missing rights, a value that does not fit.

    Nothing was written.
    """


class KeyTaken(StoreRefused):
    """The idempotency key of a CreateTask belongs to another task; `known_key` tells which one."""


class TokenSpent(StoreRefused):
    """A UseJoinToken names a token that is unknown, out of date or used up."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Conditions of a list of tasks; all that are given must hold.

    Attributes:
        status: any of these.
        type: the task's type.
        created_by: the name of the operator.
        name: the task's name; may contain * and ?.
        created_from: milliseconds since 1970, inclusive.
        created_before: milliseconds since 1970, exclusive.
        host: the id of one of its hosts.
        command: may contain * and ?; compared with the task's name, the shell text, the script, and the words of argv
            joined by spaces.
    """

    status: tuple[TaskStatus, ...] = ()
    type: str | None = None
    created_by: str | None = None
    name: str | None = None
    created_from: int | None = None
    created_before: int | None = None
    host: str | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of tasks.

    Attributes:
        tasks: the tasks.
        next: pass it as `after` for the rows that follow; None if there are none.
    """

    tasks: list[Task]
    next: str | None


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution with its host's name, for lists."""

    execution: Execution
    hostname: str


@dataclass(frozen=True, slots=True)
class Past:
    """An execution with its task's id and name, for a host's history."""

    task_id: str
    name: str
    execution: Execution


@dataclass(frozen=True, slots=True)
class Orphan:
    """An execution that the database has lost.

    Attributes:
        seq: the dispatch number that the host's Hello gave; None if only a report came.
        stage: the stage that the host's Hello gave, of events.Stage; None if only a report came.
        report: None until it came.
    """

    host_id: str
    command_id: str
    attempt: int
    received_at: int
    seq: int | None
    stage: int | None
    report: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class OutputSummary:
    """The sizes of an output, in bytes, for lists that do not load it."""

    head_bytes: int
    tail_bytes: int
    total_bytes: int

    @property
    def truncated(self) -> bool:
        """True if a part of the output was dropped."""
        return self.total_bytes > self.head_bytes + self.tail_bytes


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first bytes of an output, and its sizes."""

    data: bytes
    sizes: OutputSummary


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that is not final, with everything that a server needs to continue it.

    Attributes:
        executions: its executions that are not final; empty for a pending task whose executions are all pending.
    """

    task: Task
    command: Command
    executions: Sequence[Execution]


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The task that an idempotency key created, and the digest of its request."""

    task_id: str
    request_digest: bytes


class Store(Protocol):
    """The database of one server. Lists are paged by key: pass the last row's key as `after`, never an offset.

    Attributes:
        tables: Its tables.
    """

    tables: Tables

    async def open(self) -> None:
        """Connect, and bring the schema up to date.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreRefused: the database refuses the login or is not Clarion's.
        """

    async def aclose(self) -> None:
        """Close all connections."""

    async def write(self, saves: Sequence[Save]) -> None:
        """Apply all saves, in order, in one transaction that is durable on return.

        Repeating a call whose outcome is unknown changes nothing.

        Raises:
            StoreUnavailable: the outcome is unknown.
            StoreRefused: nothing was written.
            StoreFenced: another server has taken the lease since this store took it.
        """

    async def ping(self) -> None:
        """Make one round trip through the database.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """

    # which database this is
    async def database_id(self) -> str:
        """The 32 hexadecimal digits that were made with the database.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """

    async def check_database(self) -> None:
        """Check that the open database is still the one that the settings name: the same file, the same database.

        The server calls this repeatedly while it runs.

        Raises:
            DatabaseReplaced: it is another one; from then on every write raises this.
            StoreUnavailable: the database cannot be reached.
        """

    # the lease (store/lease.py)
    async def take_lease(self, holder: Holder, seconds: float, *, dead: Lease | None = None) -> int:
        """Take the lease and begin the next epoch; from then on every write is fenced.

        Args:
            holder: this server.
            seconds: how long the lease lasts without renewal.
            dead: a lease whose holder is known to have ended; if unchanged, it may be taken before it runs out.

        Returns:
            The number of the epoch.

        Raises:
            LeaseHeld: another server has it.
            StoreUnavailable: the database cannot be reached.
            StoreRefused: the database refuses it.
        """

    async def renew_lease(self) -> None:
        """Extend the lease by its length.

        Raises:
            StoreFenced: another server has taken it.
            StoreUnavailable: the database cannot be reached.
        """

    async def give_back_lease(self) -> None:
        """End the lease, so that the next server need not wait. A lease of another server is left alone.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """

    async def heal(self) -> list[Healed]:
        """Replace stored numbers that no server can have written and that a start would read.

        Called once, after the lease was taken and before anything is read.

        Returns:
            What was replaced; usually nothing.

        Raises:
            StoreFenced: another server has taken the lease.
            StoreUnavailable: the database cannot be reached.
        """

    def unreadable(self) -> list[str]:
        """The rows that the reads of a start left out because they cannot be decoded, each named once."""

    # tasks
    async def task(self, task_id: str) -> Task | None:
        """The task, with an empty tuple of targets: those can be ten thousand."""

    async def targets(self, task_id: str) -> tuple[str, ...]:
        """The frozen list of host ids; empty for an unknown task."""

    async def tasks(self, where: TaskFilter, *, after: str | None, limit: int, looked_at: int = 5_000) -> TaskPage:
        """One page of tasks, newest first.

        Args:
            where: the conditions.
            after: the `next` of the page before.
            limit: tasks on the page, at most.
            looked_at: tasks to read, at most, for a pattern or a host. Such a page may be short or empty without
                being the last one.
        """

    async def commands(self, task_id: str) -> list[Command]:
        """The commands of a task."""

    async def count_tasks(self) -> dict[TaskStatus, int]:
        """The number of tasks in each status. Reads an index once; called at start."""

    async def sum_executions(self) -> dict[ExecutionStatus, int]:
        """The number of executions in each status. Adds up the tasks' counters; called at start."""

    async def known_key(self, idempotency_key: str) -> KnownKey | None:
        """The first use of an idempotency key, if there was one."""

    async def open_tasks(self) -> list[OpenTask]:
        """Every task that is not final, oldest first; called at start."""

    # executions
    async def executions(
        self, command_id: str, *, status: Sequence[ExecutionStatus] = (), after: str | None, limit: int
    ) -> list[ExecutionView]:
        """Executions of a command by host id; `after` is a host id."""

    async def execution(self, command_id: str, host_id: str) -> ExecutionView | None:
        """The execution of a command on a host."""

    async def answer_kinds(self, command_id: str) -> bytes:
        """The bytes that the last SaveKinds stored; empty if there was none."""

    async def answers(self, command_id: str) -> list[ResultGroup]:
        """A command's executions grouped by result, unordered and unnumbered, in few statements."""

    async def notes(self, command_id: str) -> dict[Kind, tuple[int, ...]]:
        """The number of hosts of each kind of result that have each note of proto.notes.MARKED.

        Only executions that have ended count. Kinds without any note are left out.
        """

    async def states(self, command_id: str) -> Sequence[str]:
        """One text `S U ID` per execution, unordered.

        S is the number of the status, U is 1 if the host is offline and else 0, ID is the host's id.
        """

    async def history(self, host_id: str, *, after: str | None, limit: int) -> list[Past]:
        """Executions of a host, newest command first; `after` is a command id."""

    async def output_beginnings(self, output_ids: Sequence[bytes], size: int) -> dict[bytes, Beginning]:
        """The first `size` bytes of each output; ids that are not kept are left out. At most 1,000 ids at once."""

    async def executions_of_host(self, host_id: str, *, after: str | None, limit: int) -> list[Execution]:
        """Executions of a host, newest command first; `after` is a command id."""

    async def known_executions(self, host_id: str, command_ids: Sequence[str]) -> set[str]:
        """Those of these commands of which the host has an execution, or whose task was deleted."""

    async def orphans(self, *, host_id: str | None, after: str | None, limit: int) -> list[Orphan]:
        """Executions that hosts hold and the database has lost, by (host_id, command_id, attempt).

        Args:
            host_id: only those of this host; None for all.
            after: `host_id/command_id/attempt` of the last one before the page.
            limit: orphans on the page, at most.
        """

    async def output(self, output_id: bytes) -> Output | None:
        """The stored part of one stream."""

    async def output_summaries(self, output_ids: Sequence[bytes]) -> dict[bytes, OutputSummary]:
        """Sizes without the bytes; ids that are not kept are left out. At most 1,000 ids at once."""

    # hosts
    async def hosts(self) -> list[Host]:
        """All hosts; called at start. The fleet keeps them in memory."""

    async def identities(self) -> list[HostIdentity]:
        """All identities; called at start."""

    # joining
    async def join_token(self, token_id: str) -> JoinToken | None:
        """One join token."""

    async def join_tokens(self, *, after: str | None, limit: int) -> list[JoinToken]:
        """Join tokens by id, including those out of date and used up; `after` is a token id."""

    async def join_requests(self) -> list[JoinRequest]:
        """All join requests; called at start."""

    # any noun
    async def all_of(self, record: type[T]) -> list[T]:
        """Every record of a class that has a table of its own (server/store/tables); for a start.

        A row that cannot be read is passed over and named by `unreadable`.
        """

    async def one_of(self, record: type[T], key: str) -> T | None:
        """The record of a class with this key, for a noun that is not kept in memory."""

    async def page_of(self, record: type[T], *, after: str | None, limit: int) -> list[T]:
        """Up to `limit` records of a class by key; `after` is a key."""

    # installation
    async def meta(self, key: str) -> str | None:
        """One fact about the installation."""
