"""The nouns: Task, Command, CommandHost (an execution), Output, Host. Plain data, no behaviour, no clock.

Times named `*_at` are milliseconds since 1970 UTC by the server's clock; `agent_*_at` by the agent's, kept for people
and never compared with ours. Times named `*_ms` are durations. Absent is None.

What is made once per host or message is a msgspec Struct, here and in events.py and effects.py: a frozen dataclass of
fourteen
fields takes ten times as long to make. None of them can be part of a cycle, so the garbage collector is told to pass
them by.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

from msgspec import Struct

from server.core.states import ExecutionStatus, TaskStatus

COUNTS_ZERO = (0,) * len(ExecutionStatus)


@dataclass(slots=True)
class Command:
    """One thing to run, in a task. Exactly one of `command`, `argv`, `script` is set. Immutable once stored."""

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
    """When a host's execution is tried again. attempts: in all, the first included. codes: reasons (proto/reasons.py)
    for which.

    idempotent: also when it was accepted and so may have run; without it nothing that may have run is ever run again.
    The n-th
    pause is backoff_ms * 2^(n-1), at most backoff_max_ms, of which a random half is taken off.
    """

    attempts: int
    codes: tuple[str, ...]
    backoff_ms: int = 1_000
    backoff_max_ms: int = 60_000
    idempotent: bool = False


@dataclass(slots=True)
class Task:
    """What a user asked for. `counts[s]` executions are in ExecutionStatus s; their sum is always `total_hosts`.

    wait_ms: how long from the start on hosts that are not connected are waited for; None: not at all. rerun_of: the
    task of which
    this one repeats some hosts. spent_ms: how long servers have run it, as of the last save, by clocks that cannot be
    set; kept for
    a task with timeout_ms or wait_ms.
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
        return sum(self.counts)

    @property
    def completed_hosts(self) -> int:
        return self.counts[ExecutionStatus.COMPLETED]

    @property
    def failed_hosts(self) -> int:
        """Every host that ended without completing, for whatever reason."""
        return sum(self.counts[ExecutionStatus.FAILED :])

    @property
    def partial(self) -> bool:
        """Some completed, and some ended otherwise."""
        return self.completed_hosts > 0 and self.failed_hosts > 0


class Execution(Struct, gc=False):
    """One command on one host: the execution's row. `version` grows with each change; the store takes only newer ones.

    `unreachable` is a flag on a row that is not final while its agent is away. `late_result` is what an agent reported
    after the row had become final; it changes nothing else. `cancel_reason`: why its host was asked to end it first:
    canceled,
    timeout or expired. `earlier`: how the attempts before this one ended, the first one first. `retry_at`: when this
    attempt's turn
    comes, while it waits for it.
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
        """A copy that later changes leave alone."""
        return copy(self)


class Output(Struct, frozen=True, gc=False):
    """What is kept of one stream, stored once for all hosts that said the same.

    output_id: 32 bytes, see `core.outputs.identify`. `tail` follows the middle that was dropped; with nothing dropped
    it is empty and `head` is everything. sha256 covers the whole stream.
    """

    output_id: bytes
    head: bytes
    tail: bytes
    total_bytes: int
    sha256: bytes

    @property
    def truncated(self) -> bool:
        return self.total_bytes > len(self.head) + len(self.tail)


@dataclass(slots=True)
class Host:
    """A machine. Who is connected now, and when it was last heard of in this run, is the fleet's knowledge, not the
    store's.

    given: the name that an operator has given it, which goes before `claimed`, what its agent calls it. former: names
    that it had before, the last
    one first. replaced_by: the id of the host that has taken its place and its name; such a host is found by its id
    only. max_seq, max_epoch: read
    only, written with SaveSeq.
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
    """What is kept of a token with which hosts join.

    digest: SHA-256 of its text. labels: given to every host that joins with it. networks: CIDR blocks, one of which a
    host
    must join from; empty for anywhere. approve: an operator lets each host in. replace: a host that joins with it takes
    the place of
    hosts of its name that are offline.
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
    """A join that waits for an operator's word. request_id: of the token and of the key that the host has made, see
    server/security/approval.py. csr: what the host has sent, PEM or DER. address: where it came from."""

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
        """pending, approved: may join once, or denied."""
        if self.decided_at is None:
            return "pending"
        return "approved" if self.approved else "denied"


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What is known of a host's certificates; serial numbers are lower-case hex.

    generation, serial, not_after: of the newest certificate that was seen in use, or of the one given at the join.
    joined_generation: of the first certificate since the last join; older ones belong to an earlier life of the host.
    next_serial, next_not_after: of a certificate of the next generation that was given out and has not been seen yet.
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
        """enrolled, revoked, quarantined, or released: may join again and is refused until it has."""
        if self.released_at is not None:
            return "released"
        if self.revoked_at is not None:
            return "revoked"
        return "quarantined" if self.quarantined_at is not None else "enrolled"
