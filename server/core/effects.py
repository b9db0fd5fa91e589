"""What the engine asks for.

Saves go to the writer, in order, all saves of one call in one transaction. Everything else is carried out after that
transaction, and every one before it, has been committed: nobody is told of what a crash could still undo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from msgspec import Struct

from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Task

# --- saves -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Insert a task, its command and one pending row per target. Replaying it changes nothing.

    idempotency_key: the operator's key with the operator's name before it; request_digest: 32 bytes of what was asked.
    """

    task: Task
    command: Command
    idempotency_key: str | None = None
    request_digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class SaveTask:
    """Status, counts and times of a task that exists, as they are after this transaction."""

    task: Task


class SaveExecution(Struct, frozen=True, gc=False):
    """A row that exists, as it is after this transaction. Taken only if its version is newer than the stored one."""

    execution: Execution


class SaveOutput(Struct, frozen=True, gc=False):
    """Kept unless the same content is there already."""

    output: Output


@dataclass(frozen=True, slots=True)
class SaveLate:
    """A report for a row that is not open. Kept beside the row unless it is the report that ended the row.

    For a row that does not exist it is kept among the orphans if it is `claimed`: the host's Hello named the execution,
    with a dispatch number
    that was given out. Anything else was never dispatched, and is dropped. The store bounds what one host may leave
    there, and keeps `outputs`
    only with a report that it keeps.
    """

    host_id: str
    command_id: str
    attempt: int
    received_at: int
    agent_finished_at: int | None
    report: Mapping[str, object]
    outputs: Sequence[Output] = ()
    claimed: bool = True


@dataclass(frozen=True, slots=True)
class SaveOrphan:
    """An execution that a Hello names, whose dispatch number was given out, and of which the database knows nothing: a
    part of it is lost. Its
    report, if the agent still has it, follows as a SaveLate. stage: of events.Stage."""

    host_id: str
    command_id: str
    attempt: int
    received_at: int
    seq: int
    stage: int


@dataclass(frozen=True, slots=True)
class DeleteOrphans:
    """All of a host's."""

    host_id: str


@dataclass(frozen=True, slots=True)
class SaveHost:
    """Insert or overwrite a host."""

    host: Host


class SaveSeq(Struct, frozen=True, gc=False):
    """The highest dispatch number given to a host, and the highest server epoch that this host claims to have met.
    Never lowered."""

    host_id: str
    max_seq: int
    max_epoch: int = 0


class SaveSeen(Struct, frozen=True, gc=False):
    """When a host was last heard of, ms since 1970. Never set back."""

    host_id: str
    last_seen_at: int


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """The task, its command and its rows. Outputs that nobody refers to any more are left to retention."""

    task_id: str


@dataclass(frozen=True, slots=True)
class DeleteHost:
    """The host and its identity: its agent must join again."""

    host_id: str


@dataclass(frozen=True, slots=True)
class CreateJoinToken:
    """Insert a join token. Replaying it changes nothing, whatever has been used of it since."""

    token: JoinToken


@dataclass(frozen=True, slots=True)
class DeleteJoinToken:
    """Nobody joins with it any more; those who have stay."""

    token_id: str


@dataclass(frozen=True, slots=True)
class UseJoinToken:
    """Take one use of a token for the certificate with this serial number, or refuse the whole transaction: with none
    left
    at `used_at`, or no such token, the store raises TokenSpent. used_at: when the host asked, which for a join that was
    approved is before the transaction. A replay for the same serial number takes no second use."""

    token_id: str
    serial: str
    host_id: str
    used_at: int


@dataclass(frozen=True, slots=True)
class SaveJoinRequest:
    """Insert or overwrite a join that waits for an operator's word."""

    request: JoinRequest


@dataclass(frozen=True, slots=True)
class DeleteJoinRequest:
    """It has become a host, or nobody has asked for too long."""

    request_id: str


@dataclass(frozen=True, slots=True)
class SaveIdentity:
    """Insert or overwrite what is known of a host's certificates."""

    identity: HostIdentity


@dataclass(frozen=True, slots=True)
class SaveKinds:
    """In which order a command's kinds of answers came, so that the numbers with which they were shown stay: see
    `server.core.results.groups.KindOrder`.
    Taken only if it is longer than the stored one, which it continues."""

    command_id: str
    kinds: bytes


@dataclass(frozen=True, slots=True)
class SaveMeta:
    """A fact about the installation, e.g. the server's epoch."""

    key: str
    value: str


Save = (
    CreateTask
    | SaveTask
    | SaveExecution
    | SaveOutput
    | SaveLate
    | SaveOrphan
    | DeleteOrphans
    | SaveHost
    | SaveSeq
    | SaveSeen
    | DeleteTask
    | DeleteHost
    | CreateJoinToken
    | DeleteJoinToken
    | UseJoinToken
    | SaveJoinRequest
    | DeleteJoinRequest
    | SaveIdentity
    | SaveKinds
    | SaveMeta
)

# --- what happens after the commit ------------------------------------------------------------------------------------


class Decision(IntEnum):
    """The server's word on an entry of a Hello; numbers as in proto/command.proto."""

    KEEP = 1
    STOP = 2
    ACK = 3
    DROP = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    command_id: str
    attempt: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class Welcome:
    """First message of a session."""

    host_id: str
    session: int
    verdicts: Sequence[Verdict] = ()


class Dispatch(Struct, frozen=True, gc=False):
    """small: its task has few hosts, so that it goes before what is sent to many, and its answer is read before
    theirs."""

    host_id: str
    session: int
    command: Command
    attempt: int
    seq: int
    small: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """reason: canceled, timeout or expired."""

    host_id: str
    session: int
    command_id: str
    attempt: int
    seq: int
    journal_id: str
    reason: str


class Ack(Struct, frozen=True, gc=False):
    """The result is durable; the agent may drop its output."""

    host_id: str
    session: int
    command_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Every dispatch number of this host up to `low` is over, and that is durable."""

    host_id: str
    session: int
    low: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The session is to end, because its host does what no agent does. why: of rpc/endings.py."""

    host_id: str
    session: int
    why: str


@dataclass(frozen=True, slots=True)
class Inquire:
    """Find out which of these executions, which a Hello names, the database knows nothing of; the answer is an event,
    Unaccounted.
    entries: (command_id, attempt, seq, stage)."""

    host_id: str
    entries: Sequence[tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that people should look at. code: store_rolled_back, mass_silence, orphans, or stored_value:
    numbers that no server can have written were replaced."""

    code: str
    message: str


class Progress(Struct, frozen=True, gc=False):
    """What may now be shown of a task."""

    task: Task
    slowest: Sequence[str] = ()
    """Up to five host ids, the longest running first."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The task is gone."""

    task_id: str


Act = Welcome | Dispatch | Cancel | Ack | Forget | Cut | Inquire | Alarm | Progress | Forgotten


@dataclass(slots=True, eq=False)
class SendTime:
    """When what one call of the engine sends could leave, its transaction being committed. at: monotonic seconds; None:
    not yet. decided: when
    the engine was called, in monotonic seconds; None: before this start of the server."""

    at: float | None = None
    decided: float | None = None


@dataclass(slots=True)
class Effects:
    """What one call of the engine asks for: one transaction, then the acts in order. Whoever carries them out sets
    `send_time.at`
    first: a database that is away holds them back, and nobody is to be judged by when they were decided."""

    saves: list[Save] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    send_time: SendTime = field(default_factory=SendTime)

    def __bool__(self) -> bool:
        return bool(self.saves or self.acts)
