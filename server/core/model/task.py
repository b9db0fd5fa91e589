"""A task and its command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.core.states import ExecutionStatus, TaskStatus

COUNTS_ZERO = (0,) * len(ExecutionStatus)
"""The counts of a task without executions."""


@dataclass(slots=True)
class Command:
    """One thing to run, in a task. Immutable once stored.

    Exactly one of `command`, `argv` and `script` is set.

    Attributes:
        command_id: Id of the command.
        task_id: Id of its task.
        command: Text for a shell.
        argv: A program and its arguments.
        script: Text of a script.
        interpreter: Program that runs the script; None to use the script's first line.
        args: Arguments of the script or of the shell text.
        parameters: Values that the process gets as environment variables P_<name>.
        env: Environment variables to set.
        cwd: Working directory.
        run_as: User to run as.
        umask: File mode mask.
        stdin: Bytes for the standard input.
        timeout_ms: Time limit of one execution on the agent's boot-time clock; 0 for none.
        grace_ms: Time between SIGTERM and SIGKILL.
        start_within_ms: Time from the receipt in which the agent must start the command.
        max_output: Bytes over both streams after which the command is killed; 0 for no limit.
        detach: Children may outlive a main process that ended by itself.
        success_codes: Exit codes that count as success.
    """

    command_id: str
    task_id: str
    command: str | None = None
    argv: tuple[str, ...] | None = None
    script: str | None = None
    interpreter: str | None = None
    args: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    run_as: str | None = None
    umask: int | None = None
    stdin: bytes | None = None
    timeout_ms: int = 3_600_000
    grace_ms: int = 5_000
    start_within_ms: int = 60_000
    max_output: int = 1 << 30
    detach: bool = False
    success_codes: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Retry:
    """Rules for trying an execution again.

    The n-th pause is backoff_ms * 2^(n-1), limited to backoff_max_ms, of which a random half is subtracted.

    Attributes:
        attempts: Attempts in all, the first included.
        codes: Reasons (proto/reasons.py) for another attempt.
        backoff_ms: The first pause.
        backoff_max_ms: The longest pause.
        idempotent: Also try again what was accepted and so may have run. Without it, nothing that may have run is run
            again.
    """

    attempts: int
    codes: tuple[str, ...]
    backoff_ms: int = 1_000
    backoff_max_ms: int = 60_000
    idempotent: bool = False


@dataclass(slots=True)
class Task:
    """A request of an operator: one command on many hosts.

    Attributes:
        task_id: Id of the task.
        name: Name for people.
        description: Longer text for people.
        type: Kind of the task.
        status: Status of the task.
        created_by: The operator.
        created_at: When the task was created.
        updated_at: When the task last changed.
        target_text: The targets as the operator wrote them.
        targets: Ids of the hosts that the targets selected.
        parameters: Values that every process gets as environment variables P_<name>.
        timeout_ms: Time limit of the whole task; None for none.
        concurrency: Executions that may be in flight; None for the server's limit.
        cancel_requested_at: When the cancel was requested.
        cancel_reason: `canceled` or `timeout`; None if the task is not being ended.
        started_at: When the task was started.
        finished_at: When the task became final.
        counts: Executions per ExecutionStatus. Their sum is always `total_hosts`.
        version: Grows with every change.
        wait_ms: Time from the start in which offline hosts may connect; None to refuse them at once.
        retry: When executions are tried again; None for never.
        rerun_of: The task of which this one repeats some hosts.
        spent_ms: How long servers have run the task at the last save, by monotonic clocks. It is kept for tasks with
            timeout_ms or wait_ms.
        sets: The host sets that the targets used, each with its version at that time.
    """

    task_id: str
    name: str
    description: str
    type: str
    status: TaskStatus
    created_by: str
    created_at: int
    updated_at: int
    target_text: str
    targets: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout_ms: int | None = None
    concurrency: int | None = None
    cancel_requested_at: int | None = None
    cancel_reason: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    counts: tuple[int, ...] = COUNTS_ZERO
    version: int = 0
    wait_ms: int | None = None
    retry: Retry | None = None
    rerun_of: str | None = None
    spent_ms: int = 0
    sets: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_hosts(self) -> int:
        """Number of executions."""
        return sum(self.counts)

    @property
    def completed_hosts(self) -> int:
        """Number of executions that completed."""
        return self.counts[ExecutionStatus.COMPLETED]

    @property
    def failed_hosts(self) -> int:
        """Number of executions that ended without completing, for any reason."""
        return sum(self.counts[ExecutionStatus.FAILED :])

    @property
    def partial(self) -> bool:
        """True if some executions completed and some ended otherwise."""
        return self.completed_hosts > 0 and self.failed_hosts > 0
