"""Acts: what the conductor carries out after the transaction has been committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from proto.kinds import Decision as Decision
from server.core.model import Command, Task


@dataclass(frozen=True, slots=True)
class Verdict:
    """The server's decision on one entry of a Hello."""

    command_id: str
    attempt: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class Welcome:
    """The first message of a session."""

    host_id: str
    session: int
    verdicts: Sequence[Verdict] = ()


class Dispatch(Struct, frozen=True, gc=False):
    """Send an execution to its host.

    Attributes:
        small: its task has few hosts. The server sends it before what goes to many hosts, and reads its result before
            theirs.
    """

    host_id: str
    session: int
    command: Command
    attempt: int
    seq: int
    small: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask a host to end an execution.

    Attributes:
        reason: canceled, timeout or expired.
    """

    host_id: str
    session: int
    command_id: str
    attempt: int
    seq: int
    journal_id: str
    reason: str


class Ack(Struct, frozen=True, gc=False):
    """Tell a host that the result is durable and that it may drop the output."""

    host_id: str
    session: int
    command_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Tell a host that every dispatch number up to `low` has ended, durably."""

    host_id: str
    session: int
    low: int


@dataclass(frozen=True, slots=True)
class Cut:
    """End a session, because its host does what no agent does.

    Attributes:
        why: of rpc/session/endings.py.
    """

    host_id: str
    session: int
    why: str


@dataclass(frozen=True, slots=True)
class Inquire:
    """Determine which of these executions of a Hello the database does not know; the result is the event Unaccounted.

    Attributes:
        entries: (command_id, attempt, seq, stage).
    """

    host_id: str
    entries: Sequence[tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A condition that operators should see.

    Attributes:
        code: store_rolled_back, mass_silence, orphans, or stored_value (impossible numbers were replaced).
    """

    code: str
    message: str


class Progress(Struct, frozen=True, gc=False):
    """The state of a task that may now be shown.

    Attributes:
        slowest: up to five host ids, the longest running first.
    """

    task: Task
    slowest: Sequence[str] = ()
    """Up to five host ids, the longest running first."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The task was deleted."""

    task_id: str


Act = Welcome | Dispatch | Cancel | Ack | Forget | Cut | Inquire | Alarm | Progress | Forgotten
