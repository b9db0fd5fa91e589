"""Tasks and executions that are not final, and hosts, as the engine keeps them in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from server.core.effects import SendTime
from server.core.figures.delivery import WaitingGroup
from server.core.model import Command, Execution, Task
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait

ALREADY_SENT = SendTime(float("-inf"))
"""The send time of an execution that an earlier start of the server dispatched."""


@dataclass(slots=True, eq=False)
class LiveExecution:
    """An execution that is not final, as the engine sees it.

    Attributes:
        row: The record that is stored.
        live_task: The task of the execution.
        ticket: Used by `Deadlines`.
        end_requested_at: Monotonic seconds at which its online host was first asked to end it; None if it was not
            asked.
        suspect_until: Monotonic seconds at which an execution that its connected host denies becomes lost; None if the
            host does not deny it.
        send_time: When its last dispatch could be sent.
        waiting_group: The executions that wait to be sent since the same moment. None if the execution does not wait or
            its task was not started.
    """

    row: Execution
    live_task: LiveTask
    ticket: int = 0
    end_requested_at: float | None = None
    suspect_until: float | None = None
    send_time: SendTime = ALREADY_SENT
    waiting_group: WaitingGroup | None = None

    def __str__(self) -> str:
        """Return the ids of command and host, for error texts."""
        return f"{self.row.command_id} on {self.row.host_id}"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Executions that the engine still has to end.

    Attributes:
        executions: The executions, in order.
        reason: `canceled`, `timeout` or `expired`.
        force: Executions whose host is offline become lost at once.
    """

    executions: deque[LiveExecution]
    reason: str
    force: bool = False


@dataclass(slots=True, eq=False)
class LiveTask:
    """A task that is not final, as the engine sees it.

    Attributes:
        task: The record that is stored.
        command: The task's command.
        slot: Index of the task in the tally.
        limit: Executions of the task that may be in flight.
        executions: Executions that have not ended, by host id.
        waiting: Executions that have not been admitted.
        stopping: Requests to stop executions, oldest first.
        offline_wait: Deadline for offline hosts; None if the task does not wait for them.
        elapsed: Time that the task has run; None if the task has no time limit.
        started: Ids of hosts with a running execution, the longest running first.
        in_flight: Executions that are dispatched or running.
        small: The task has few hosts, so larger tasks do not delay it.
        ticket: Used by `Deadlines`.
        loaded: The task was created in an earlier run of the server.
        rows_created: The executions are, or were, in memory. A task has none before its start.
    """

    task: Task
    command: Command
    slot: int
    limit: int
    executions: dict[str, LiveExecution] = field(default_factory=dict)
    waiting: deque[LiveExecution] = field(default_factory=deque)
    stopping: deque[StopRequest] = field(default_factory=deque)
    offline_wait: OfflineWait | None = None
    elapsed: ElapsedCheckpoint | None = None
    started: dict[str, None] = field(default_factory=dict)
    in_flight: int = 0
    small: bool = False
    ticket: int = 0
    loaded: bool = False
    rows_created: bool = False


@dataclass(slots=True, eq=False)
class HostState:
    """A host as the engine sees it.

    Attributes:
        host_id: Id of the host.
        session: Number of the open session; None while the host is offline.
        journal_id: Id of the journal in the host's last Hello.
        former_journals: The last few journals that the host had before in this run of the server.
        capacity: Executions that may be open on the host.
        seq: The last dispatch number that was used.
        seq_reserved: The last dispatch number that is reserved in the store.
        seq_seen: The highest dispatch number that the host reported or was sent in this run of the server.
        seq_forgotten: The dispatch number up to which the agent was told to forget.
        loaded: The host was known when the server started and has not connected since.
        epoch_seen: The highest server epoch that the host has reported, as stored.
        open: Dispatched or running executions, by command id.
        parked: Executions that their task has admitted and that wait for this host, oldest first.
        claims: Executions in the last Hello that are not open and have a dispatch number that was given out.
        paid_until: Monotonic seconds until which the host has used its rate of unsolicited results.
        delayed_acks: Acknowledgements that the host gets later; None if there are none.
    """

    host_id: str
    session: int | None = None
    journal_id: str | None = None
    former_journals: tuple[str, ...] = ()
    capacity: int = 0
    seq: int = 0
    seq_reserved: int = 0
    seq_seen: int = 0
    seq_forgotten: int = 0
    loaded: bool = False
    epoch_seen: int = 0
    open: dict[str, LiveExecution] = field(default_factory=dict)
    parked: dict[LiveExecution, None] = field(default_factory=dict)
    claims: dict[tuple[str, int], None] = field(default_factory=dict)
    paid_until: float = 0.0
    delayed_acks: DelayedAcks | None = None
