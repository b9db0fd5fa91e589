"""What every database must do for Clarion. `tests/store/conformance/suite.py` is this page, executed.

A store is used by one server. `write` is called by the writer only, one call at a time; reads may run beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from server.core.effects import Save
from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Task
from server.core.results.groups import Kind, ResultGroup
from server.core.states import ExecutionStatus, TaskStatus
from server.store.heal import Healed
from server.store.lease import Holder, Lease

T = TypeVar("T")


class StoreUnavailable(Exception):
    """The database cannot be reached or is out of space; the same call may succeed later. Nothing is known of a
    write."""


class StoreRefused(Exception):
    """The database will never accept this: bad login, missing rights, a value that does not fit. Nothing was
    written."""


class KeyTaken(StoreRefused):
    """A CreateTask came with an idempotency key that belongs to another task: ask `known_key` which one."""


class TokenSpent(StoreRefused):
    """A UseJoinToken came for a token that is unknown, out of date or used up."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """All given conditions hold. Times are milliseconds, from inclusive, before exclusive. name, command: may have *
    and ?; the command's is
    compared with the task's name, the shell text, the script, and the words of argv with a space between them. host:
    the id of one of its hosts."""

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
    """next: pass it as `after` for the rows that follow; None: there are none."""

    tasks: list[Task]
    next: str | None


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """A row with its host's name, for lists."""

    execution: Execution
    hostname: str


@dataclass(frozen=True, slots=True)
class Past:
    """A row with its task's id and name, for a host's history."""

    task_id: str
    name: str
    execution: Execution


@dataclass(frozen=True, slots=True)
class Orphan:
    """An execution that the database has lost. seq, stage: as its host's Hello named it; None where only a report came.
    report: None until it came."""

    host_id: str
    command_id: str
    attempt: int
    received_at: int
    seq: int | None
    stage: int | None
    report: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class OutputSummary:
    """What a list says of an output without loading it. Bytes."""

    head_bytes: int
    tail_bytes: int
    total_bytes: int

    @property
    def truncated(self) -> bool:
        return self.total_bytes > self.head_bytes + self.tail_bytes


@dataclass(frozen=True, slots=True)
class Beginning:
    """How an output begins, and its sizes."""

    data: bytes
    sizes: OutputSummary


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that is not final, with everything needed to go on with it. `executions`: its rows that are not final;
    empty for a pending task whose rows are all pending."""

    task: Task
    command: Command
    executions: Sequence[Execution]


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What an idempotency key was used for."""

    task_id: str
    request_digest: bytes


class Store(Protocol):
    """Lists are ordered and paged by key: pass the last row's key as `after` for the next page, never an offset."""

    async def open(self) -> None:
        """Connect, bring the schema up to date. Raises StoreUnavailable, StoreRefused."""

    async def aclose(self) -> None: ...

    async def write(self, saves: Sequence[Save]) -> None:
        """Apply all of them, in order, in one transaction that is durable on return.

        Replaying a call whose outcome is unknown changes nothing. Raises StoreUnavailable, StoreRefused; StoreFenced
        once this
        store has taken the lease and another one has taken it since.
        """

    async def ping(self) -> None:
        """One round trip through the database. Raises StoreUnavailable."""

    # which database this is
    async def database_id(self) -> str:
        """32 hexadecimal digits, made with the database. Raises StoreUnavailable."""

    async def check_database(self) -> None:
        """What is open is still what the settings name: the same file, the same database. To be called again and again
        while the server runs.

        Raises DatabaseReplaced, and from then on every write does; StoreUnavailable.
        """

    # the lease (store/lease.py)
    async def take_lease(self, holder: Holder, seconds: float, *, dead: Lease | None = None) -> int:
        """Begin the next epoch, whose number is returned; from here on every write is fenced. seconds: how long it is
        good without
        renewal. dead: this one, if it is unchanged, may be taken although it has not run out: its holder is gone.

        Raises LeaseHeld, StoreUnavailable, StoreRefused.
        """

    async def renew_lease(self) -> None:
        """Raises StoreFenced, StoreUnavailable."""

    async def give_back_lease(self) -> None:
        """The next server need not wait. Of no effect for a lease that another one has. Raises StoreUnavailable."""

    async def heal(self) -> list[Healed]:
        """Replace stored numbers that no server can have written and that a start would read; returns which, usually
        none. Once, after the
        lease was taken and before anything is read. Raises StoreFenced, StoreUnavailable."""

    def unreadable(self) -> list[str]:
        """What the reads of a start have passed over because a text of it cannot be read, each named once."""

    # tasks
    async def task(self, task_id: str) -> Task | None:
        """Without its targets (an empty tuple): those can be ten thousand."""

    async def targets(self, task_id: str) -> tuple[str, ...]:
        """The frozen list of host ids; empty for an unknown task."""

    async def tasks(self, where: TaskFilter, *, after: str | None, limit: int, looked_at: int = 5_000) -> TaskPage:
        """Newest first; `after` is the `next` of a page. With a pattern or a host the page looks at `looked_at` tasks
        at most, so that it may
        be short, or empty, and not the last one."""

    async def commands(self, task_id: str) -> list[Command]: ...

    async def count_tasks(self) -> dict[TaskStatus, int]:
        """Reads an index once; called at start."""

    async def sum_executions(self) -> dict[ExecutionStatus, int]:
        """Sums the tasks' counters; called at start."""

    async def known_key(self, idempotency_key: str) -> KnownKey | None: ...

    async def open_tasks(self) -> list[OpenTask]:
        """Every task that is not final, oldest first; called at start."""

    # executions
    async def executions(
        self, command_id: str, *, status: Sequence[ExecutionStatus] = (), after: str | None, limit: int
    ) -> list[ExecutionView]:
        """By host_id; `after` is a host_id."""

    async def execution(self, command_id: str, host_id: str) -> ExecutionView | None: ...

    async def answer_kinds(self, command_id: str) -> bytes:
        """As SaveKinds left it; empty if it never did."""

    async def answers(self, command_id: str) -> list[ResultGroup]:
        """A command's rows by what they say, in no order and not numbered; in few statements, however many hosts."""

    async def notes(self, command_id: str) -> dict[Kind, tuple[int, ...]]:
        """How many hosts of each kind have each note of proto.notes.MARKED; kinds without any are left out. Of rows
        that have ended."""

    async def states(self, command_id: str) -> Sequence[str]:
        """`S U ID` of every row, in no order: the number of the status, 1 if it is unreachable, else 0, and the host's
        id."""

    async def history(self, host_id: str, *, after: str | None, limit: int) -> list[Past]:
        """What a host was told to do, newest command first; `after` is a command_id."""

    async def output_beginnings(self, output_ids: Sequence[bytes], size: int) -> dict[bytes, Beginning]:
        """The first `size` bytes of each; ids that are not kept are left out. At most 1,000 ids at once."""

    async def executions_of_host(self, host_id: str, *, after: str | None, limit: int) -> list[Execution]:
        """Newest command first; `after` is a command_id."""

    async def known_executions(self, host_id: str, command_ids: Sequence[str]) -> set[str]:
        """Those of these commands that this host has an execution of, or that were of a task that is deleted."""

    async def orphans(self, *, host_id: str | None, after: str | None, limit: int) -> list[Orphan]:
        """Executions that hosts hold and the database has lost, by (host_id, command_id, attempt); `after` is
        `host_id/command_id/attempt`."""

    async def output(self, output_id: bytes) -> Output | None: ...

    async def output_summaries(self, output_ids: Sequence[bytes]) -> dict[bytes, OutputSummary]:
        """Sizes only, never the bytes; ids that are not kept are left out. At most 1,000 ids at once."""

    # hosts
    async def hosts(self) -> list[Host]:
        """All of them; called at start, the fleet keeps them in memory."""

    async def identities(self) -> list[HostIdentity]:
        """All of them; called at start."""

    # joining
    async def join_token(self, token_id: str) -> JoinToken | None: ...

    async def join_tokens(self, *, after: str | None, limit: int) -> list[JoinToken]:
        """By id, those out of date and used up included; `after` is a token_id."""

    async def join_requests(self) -> list[JoinRequest]:
        """All of them; called at start."""

    # any noun
    async def all_of(self, record: type[T]) -> list[T]:
        """Every record of a class that has a table of its own (server/store/tables); for a start.

        A row that cannot be read is passed over and named by `unreadable`.
        """

    # installation
    async def meta(self, key: str) -> str | None: ...
