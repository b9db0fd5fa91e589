"""The nouns: Task, Command, Execution, Output, Host and what belongs to joining. Plain data without behaviour or clock.

Times named `*_at` are milliseconds since 1970 UTC by the server's clock. Times named `agent_*_at` are by the agent's
clock; they are shown to people and never compared with the server's. Times named `*_ms` are durations. An absent value
is None.

Objects that exist per host or message are msgspec Structs, here and in events.py and effects.py: creating a frozen
dataclass of fourteen fields takes ten times as long. None of them can be part of a reference cycle, so the garbage
collector is told to skip them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

from msgspec import Struct

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
    """When an execution is tried again.

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
    """What an operator asked for.

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
        """Whether some executions completed and some ended otherwise."""
        return self.completed_hosts > 0 and self.failed_hosts > 0


class Execution(Struct, gc=False):
    """One command on one host, as stored in the table command_host.

    Attributes:
        command_id: Id of the command.
        host_id: Id of the host.
        attempt: Number of the current attempt, from 1.
        status: Status of the execution.
        version: Grows with each change. The store takes only a newer version.
        seq: Dispatch number of the current attempt.
        journal_id: Journal of the host when the attempt was dispatched.
        unreachable: The host is offline and the execution is not final.
        cancel_requested_at: When the host was first asked to end it.
        dispatched_at: When it was dispatched.
        accepted_at: When the server read the acceptance.
        started_at: When the server read that the process exists.
        finished_at: When the execution became final.
        agent_started_at: Start of the process by the agent's clock.
        agent_finished_at: End of the process by the agent's clock.
        execution_ms: How long the process ran.
        exit_code: Exit code of the process.
        signal: Signal that ended the process.
        error_code: Reason (proto/reasons.py) why it did not complete.
        error_message: Details of the reason.
        stdout_id: Id of the stored stdout.
        stderr_id: Id of the stored stderr.
        report: Further values of the result: usage, kill report, flags.
        late_result: A result that arrived after the row had become final. It changes nothing else.
        cancel_reason: Why the host was first asked to end it: `canceled`, `timeout` or `expired`.
        earlier: How the earlier attempts ended, the first one first.
        retry_at: When the pause before this attempt ends.
    """

    command_id: str
    host_id: str
    attempt: int = 1
    status: ExecutionStatus = ExecutionStatus.PENDING
    version: int = 0
    seq: int | None = None
    journal_id: str | None = None
    unreachable: bool = False
    cancel_requested_at: int | None = None
    dispatched_at: int | None = None
    accepted_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    agent_started_at: int | None = None
    agent_finished_at: int | None = None
    execution_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    stdout_id: bytes | None = None
    stderr_id: bytes | None = None
    report: Mapping[str, object] | None = None
    late_result: Mapping[str, object] | None = None
    cancel_reason: str | None = None
    earlier: tuple[Mapping[str, object], ...] = ()
    retry_at: int | None = None

    def snapshot(self) -> Execution:
        """Return a copy that later changes do not affect."""
        return copy(self)


class Output(Struct, frozen=True, gc=False):
    """What is kept of one stream. Equal outputs of several hosts are stored once.

    Attributes:
        output_id: 32 bytes, see `core.results.outputs.output_id_of`.
        head: The first bytes of the stream, or all of them.
        tail: The last bytes, after a dropped middle; empty if nothing was dropped.
        total_bytes: Length of the whole stream.
        sha256: Digest of the whole stream.
    """

    output_id: bytes
    head: bytes
    tail: bytes
    total_bytes: int
    sha256: bytes

    @property
    def truncated(self) -> bool:
        """Whether the middle of the stream was dropped."""
        return self.total_bytes > len(self.head) + len(self.tail)


@dataclass(slots=True)
class Host:
    """A machine with an agent.

    The store does not know whether the host is connected or when it was last heard of in this run; the fleet does.

    Attributes:
        host_id: Id of the host.
        hostname: The name in use: `given`, or else `claimed`.
        ip: Address that the agent reports, or else the one from which it connected.
        os: Operating system.
        arch: Processor architecture.
        version: Version of the agent.
        labels: Labels that operators have set.
        agent_labels: Labels that the agent reports.
        status: `online` or `offline` when the row was written. Nothing reads it.
        journal_id: Journal of the agent at its last Hello.
        boot_id: Boot of the machine at its last Hello.
        max_seq: The highest reserved dispatch number. Read only; SaveSeq writes it.
        max_epoch: The highest server epoch that the host reported. Read only; SaveSeq writes it.
        first_seen_at: When the host first connected.
        last_seen_at: When the host was last heard of, as stored. The fleet has newer values.
        last_heartbeat_at: Time of the last Hello that was written. Nothing reads it.
        created_at: When the row was created.
        updated_at: When the row last changed.
        claimed: The name that the agent reports.
        given: The name that an operator has set, or None.
        former: Earlier names, the last one first.
        replaced_by: Id of the host that has taken this host's place and name. A replaced host is found by its id only.
        replaced_at: When it was replaced.
    """

    host_id: str
    hostname: str
    ip: str = ""
    os: str = ""
    arch: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    agent_labels: Mapping[str, str] = field(default_factory=dict)
    status: str = "offline"
    journal_id: str | None = None
    boot_id: str | None = None
    max_seq: int = 0
    max_epoch: int = 0
    first_seen_at: int | None = None
    last_seen_at: int | None = None
    last_heartbeat_at: int | None = None
    created_at: int = 0
    updated_at: int = 0
    claimed: str = ""
    given: str | None = None
    former: tuple[str, ...] = ()
    replaced_by: str | None = None
    replaced_at: int | None = None


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token with which hosts join, without its text.

    Attributes:
        token_id: Id of the token.
        digest: SHA-256 of the token's text.
        expires_at: When the token expires.
        uses_left: Further hosts that may join with it.
        labels: Labels for every host that joins with it.
        created_by: The operator.
        created_at: When it was created.
        networks: CIDR blocks from which hosts may join; empty for any address.
        approve: An operator must approve each join.
        replace: A host that joins replaces offline hosts with the same name.
    """

    token_id: str
    digest: bytes
    expires_at: int
    uses_left: int
    labels: Mapping[str, str]
    created_by: str
    created_at: int
    networks: tuple[str, ...] = ()
    approve: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A join that waits for an operator's decision.

    Attributes:
        request_id: Derived from the token and the host's key, see server/security/approval.py.
        token_id: Id of the token.
        csr: The certificate request from the host, PEM or DER.
        hostname: The host's name.
        previous_host_id: The id that the host had before, or empty.
        address: Address from which the request came.
        created_at: When the request arrived.
        expires_at: When the request expires.
        decided_at: When an operator decided.
        decided_by: The operator who decided.
        approved: The decision.
    """

    request_id: str
    token_id: str
    csr: bytes
    hostname: str
    previous_host_id: str
    address: str
    created_at: int
    expires_at: int
    decided_at: int | None = None
    decided_by: str | None = None
    approved: bool = False

    @property
    def state(self) -> str:
        """`pending`, `approved` (the host may join once) or `denied`."""
        if self.decided_at is None:
            return "pending"
        return "approved" if self.approved else "denied"


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What is known of a host's certificates. Serial numbers are lower-case hex.

    Attributes:
        host_id: Id of the host.
        generation: Generation of the newest certificate that was seen in use, or of the one given at the join.
        joined_generation: Generation of the first certificate since the last join. Older ones are not accepted.
        serial: Serial number of that newest certificate.
        not_after: When that certificate expires.
        issued_at: When that certificate was issued.
        token_id: Token with which the host joined.
        next_serial: Serial number of a certificate of the next generation that was issued and not yet seen in use.
        next_not_after: When that certificate expires.
        revoked_at: When the host was revoked.
        revoked_by: The operator who revoked it.
        quarantined_at: When the host was quarantined.
        quarantine_reason: Why it was quarantined.
        released_at: When it was released to join again.
    """

    host_id: str
    generation: int
    joined_generation: int
    serial: str
    not_after: int
    issued_at: int
    token_id: str
    next_serial: str | None = None
    next_not_after: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None
    quarantined_at: int | None = None
    quarantine_reason: str | None = None
    released_at: int | None = None

    @property
    def state(self) -> str:
        """`enrolled`, `revoked`, `quarantined` or `released` (may join again and is refused until then)."""
        if self.released_at is not None:
            return "released"
        if self.revoked_at is not None:
            return "revoked"
        return "quarantined" if self.quarantined_at is not None else "enrolled"
