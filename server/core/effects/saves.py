"""Saves: what the writer stores. All saves of one call of the engine form one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Task


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Insert a task, its command and one pending execution per target. A replay changes nothing.

    Attributes:
        idempotency_key: the operator's key after the operator's name.
        request_digest: 32 bytes that identify the request.
    """

    task: Task
    command: Command
    idempotency_key: str | None = None
    request_digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class SaveTask:
    """Update the status, counts and times of a task that exists."""

    task: Task


class SaveExecution(Struct, frozen=True, gc=False):
    """Update an execution that exists. Applied only if its version is newer than the stored one."""

    execution: Execution


class SaveOutput(Struct, frozen=True, gc=False):
    """Store an output, unless the same content is stored already."""

    output: Output


@dataclass(frozen=True, slots=True)
class SaveLate:
    """A report for an execution that is not open.

    The store keeps it with the execution, unless it is the report that ended it. If there is no such execution, the
    store keeps it with the orphans, within a limit per host, provided that it is `claimed`. It keeps `outputs` only
    with a report that it keeps.

    Attributes:
        claimed: the host's Hello named the execution, with a dispatch number that was given out. Otherwise the
        execution
            was never dispatched, and the report is dropped.
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
    """An execution that a Hello names and that the database has lost; its dispatch number was given out.

    Its report, if the agent still has it, follows as a SaveLate.

    Attributes:
        stage: of events.Stage.
    """

    host_id: str
    command_id: str
    attempt: int
    received_at: int
    seq: int
    stage: int


@dataclass(frozen=True, slots=True)
class DeleteOrphans:
    """Delete all orphans of a host."""

    host_id: str


@dataclass(frozen=True, slots=True)
class SaveHost:
    """Insert or overwrite a host."""

    host: Host


class SaveSeq(Struct, frozen=True, gc=False):
    """Raise the highest dispatch number given to a host and the highest server epoch that it claims to have met.

    Neither is ever lowered.
    """

    host_id: str
    max_seq: int
    max_epoch: int = 0


class SaveSeen(Struct, frozen=True, gc=False):
    """Advance the time of a host's last message, ms since 1970. It is never set back."""

    host_id: str
    last_seen_at: int


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Delete a task, its command and its executions. Retention deletes outputs without references."""

    task_id: str


@dataclass(frozen=True, slots=True)
class DeleteHost:
    """Delete a host and its identity: its agent must join again."""

    host_id: str


@dataclass(frozen=True, slots=True)
class CreateJoinToken:
    """Insert a join token. A replay changes nothing, whatever was used of it since."""

    token: JoinToken


@dataclass(frozen=True, slots=True)
class DeleteJoinToken:
    """Delete a join token; hosts that joined with it stay."""

    token_id: str


@dataclass(frozen=True, slots=True)
class UseJoinToken:
    """Take one use of a token for the certificate with this serial number, or refuse the whole transaction.

    The store raises TokenSpent if the token is unknown or has no use left at `used_at`. A replay for the same serial
    number takes no second use.

    Attributes:
        used_at: when the host asked; for an approved join that is before the transaction.
    """

    token_id: str
    serial: str
    host_id: str
    used_at: int


@dataclass(frozen=True, slots=True)
class SaveJoinRequest:
    """Insert or overwrite a join that waits for an operator's decision."""

    request: JoinRequest


@dataclass(frozen=True, slots=True)
class DeleteJoinRequest:
    """Delete a join that has become a host, or that has expired."""

    request_id: str


@dataclass(frozen=True, slots=True)
class SaveIdentity:
    """Insert or overwrite what is known of a host's certificates."""

    identity: HostIdentity


@dataclass(frozen=True, slots=True)
class SaveKinds:
    """The order of a command's kinds of results, which keeps the numbers with which they were shown.

    See `server.core.results.groups.KindOrder`. Applied only if it is longer than the stored one, which it continues.
    """

    command_id: str
    kinds: bytes


@dataclass(frozen=True, slots=True)
class SaveRecord:
    """Save a record of any noun by the write rule of its table.

    Attributes:
        record: An instance of the class that a table in `server/store/nouns` declares.
    """

    record: object


@dataclass(frozen=True, slots=True)
class DeleteRecord:
    """Delete a record of any noun.

    Attributes:
        kind: The class of the record.
        key: Its key.
    """

    kind: type
    key: str


@dataclass(frozen=True, slots=True)
class SaveMeta:
    """Insert or overwrite a fact about the installation, such as the server's epoch."""

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
    | SaveRecord
    | DeleteRecord
    | SaveMeta
)
