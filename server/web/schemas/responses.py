"""What clients receive, as Structs. Times `*_at`: milliseconds since 1970 UTC. Durations `*_ms`: milliseconds. Absent
is null."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

TaskStatusWord = Annotated[str, Meta(description="pending, running, completed, failed, canceled or timeout.")]
ExecutionStatusWord = Annotated[
    str,
    Meta(description="pending, dispatched, running, completed, failed, timeout, canceled, dispatch_failed or lost."),
]
Cursor = Annotated[str | None, Meta(description="Pass it as `after` for the next page; null on the last one.")]
ByAgent = Annotated[int | None, Meta(description="By the agent's clock.")]


class CommandView(Struct, kw_only=True):
    """What a task runs."""

    command_id: str
    command: str | None
    argv: list[str] | None
    script: str | None
    interpreter: str | None
    args: list[str]
    parameters: dict[str, str]
    env: dict[str, str]
    cwd: str | None
    run_as: str | None
    umask: Annotated[str | None, Meta(description="Octal.")]
    stdin_bytes: Annotated[int | None, Meta(description="Length of what it gets on its standard input.")]
    timeout_ms: int
    grace_ms: int
    start_within_ms: int
    max_output: int
    leave_children: Annotated[bool, Meta(description="Processes that outlive the command are left alone.")]
    detach: Annotated[bool, Meta(description="The earlier name of `leave_children`; the same value.")]
    success_codes: list[int]


class RetryView(Struct, kw_only=True):
    """When a host is tried again."""

    attempts: int
    codes: list[str]
    backoff_ms: int
    backoff_max_ms: int
    idempotent: bool


class TaskRow(Struct, kw_only=True):
    """A task in a list."""

    task_id: str
    name: str
    description: str
    type: str
    status: TaskStatusWord
    created_by: str
    created_at: int
    updated_at: int
    started_at: int | None
    finished_at: int | None
    total_hosts: int
    completed_hosts: int
    failed_hosts: Annotated[int, Meta(description="Every host that ended without completing.")]
    partial: Annotated[bool, Meta(description="Some completed and some did not.")]
    counts: Annotated[dict[str, int], Meta(description="Hosts per status; their sum is total_hosts.")]
    timeout_ms: int | None
    concurrency: int | None
    cancel_requested_at: int | None
    cancel_reason: str | None
    version: Annotated[int, Meta(description="Grows with every change; pass it as `since` when you wait.")]
    rerun_of: Annotated[str | None, Meta(description="The task of which this one repeats some hosts.")]
    waits_for: Annotated[
        str | None,
        Meta(
            description=(
                "Why nothing happens: `start` (the task has not been started), `hosts` (limits are used up, or "
                "hosts are offline), or null."
            )
        ),
    ]


class TaskView(TaskRow, kw_only=True):
    """A task."""

    parameters: dict[str, str]
    target_text: Annotated[str, Meta(description="The targets as they were asked for.")]
    if_offline: Annotated[str, Meta(description="fail or wait.")]
    wait_for_ms: Annotated[int | None, Meta(description="How long from the start on `wait` waits; null with `fail`.")]
    retry: RetryView | None
    command: CommandView


class TaskPage(Struct, kw_only=True):
    """One page of tasks."""

    items: list[TaskRow]
    next: Cursor


class SlowHost(Struct, kw_only=True):
    """A host that is still at it."""

    host_id: str
    hostname: str | None


class ProgressView(Struct, kw_only=True):
    """How far a task has come; committed state only."""

    task_id: str
    status: TaskStatusWord
    version: int
    total: int
    completed: int
    failed: int
    percent: Annotated[float, Meta(description="Of hosts that have ended, however they did.")]
    counts: dict[str, int]
    rate_per_s: Annotated[
        float | None,
        Meta(
            description=(
                "Hosts per second that completed, failed or timed out: over the last 15 seconds, or over all of a "
                "task that has ended. Canceled hosts, and those that never started, do not count."
            )
        ),
    ]
    eta_ms: Annotated[
        int | None,
        Meta(
            description="Time left at this rate; null when there is none to go by, and once the task is being canceled."
        ),
    ]
    elapsed_ms: int | None
    cancel_requested_at: Annotated[
        int | None,
        Meta(
            description=(
                "When the whole task was canceled; null if it was not. Hosts that have not ended since are being "
                "asked to."
            )
        ),
    ]
    slowest: Annotated[list[SlowHost], Meta(description="Up to five hosts, the longest running first.")]


class ErrorView(Struct, kw_only=True):
    """Why a host did not complete."""

    phase: Annotated[str, Meta(description="admit, deliver, start, run or report.")]
    code: str
    message: str
    detail: Annotated[str | None, Meta(description="What the agent said in its own words.")]
    hint: str
    retryable: bool


class StopView(Struct, kw_only=True):
    """What came of ending it, whoever or whatever wanted that. Times of signals are by the agent's clock."""

    outcome: Annotated[
        str,
        Meta(
            description="`never_started`; `stopping`: its agent was asked; `unreachable`: its host is, or was, offline, so "  # noqa: E501
            "it may still be running; "
            "`finished`: it had ended by itself before; `killed`: no process of it is left; `unconfirmed`: "
            "signals were sent, and the end of the last process is not proven."
        ),
    ]
    reason: Annotated[str | None, Meta(description="canceled, timeout, expired or output_limit.")]
    requested_at: Annotated[
        int | None, Meta(description="When the server first asked; null when the agent did it by itself.")
    ]
    term_at: Annotated[int | None, Meta(description="When SIGTERM was sent; null if it was not.")]
    kill_at: Annotated[int | None, Meta(description="When SIGKILL was sent; null if it was not needed.")]


class OutputSummaryView(Struct, kw_only=True):
    """An output's size; its bytes are a request of their own."""

    output_id: str
    total_bytes: int | None
    truncated: bool | None


class NoteView(Struct, kw_only=True):
    """A fact of the report that changes what there is to do, whatever the exit code."""

    code: Annotated[str, Meta(description="One of docs/reference/reasons.md, Notes.")]
    message: str
    hint: Annotated[str, Meta(description="The way out.")]
    count: Annotated[int | None, Meta(description="Of processes, where the agent counted them.")] = None
    hosts: Annotated[int | None, Meta(description="Of a group: its hosts for which this holds.")] = None


class ExecutionRow(Struct, kw_only=True):
    """One command on one host, in a list."""

    host_id: str
    hostname: str
    command_id: str
    attempt: int
    status: ExecutionStatusWord
    unreachable: Annotated[
        bool,
        Meta(description="It has not ended and its agent is away; the real result is taken when the agent returns."),
    ]
    exit_code: int | None
    signal: int | None
    cancel_requested_at: int | None
    dispatched_at: int | None
    accepted_at: int | None
    started_at: int | None
    finished_at: int | None
    agent_started_at: ByAgent
    agent_finished_at: ByAgent
    execution_ms: ByAgent
    waits_for: Annotated[
        str | None,
        Meta(
            description=(
                "What a pending one waits for: `start` of the task, `host` (not connected), `retry` (the pause "
                "before another attempt) or `turn` (limits are used up)."
            )
        ),
    ]
    retry_at: Annotated[int | None, Meta(description="When the next attempt is due.")]
    stop: Annotated[StopView | None, Meta(description="null unless a cancel, a timeout or a limit asked for its end.")]
    error: ErrorView | None
    notes: Annotated[
        list[NoteView],
        Meta(
            description="What else happened that an operator must know: processes killed or left running, output not kept."  # noqa: E501
        ),
    ]
    stdout: OutputSummaryView | None
    stderr: OutputSummaryView | None


class ExecutionView(ExecutionRow, kw_only=True):
    """One command on one host."""

    report: Annotated[
        dict[str, Any] | None, Meta(description="What else the agent reported: usage, how processes were ended, flags.")
    ]
    earlier: Annotated[
        list[dict[str, Any]], Meta(description="How the attempts before this one ended, the first one first.")
    ]
    late_result: Annotated[
        dict[str, Any] | None, Meta(description="A report that came after the end; it changed nothing.")
    ]


class ExecutionPage(Struct, kw_only=True):
    """One page of a task's hosts."""

    items: list[ExecutionRow]
    next: Cursor


class OutputView(Struct, kw_only=True):
    """A piece of what is kept of a stream. `text` has replacement characters where the bytes are not UTF-8; `base64` is
    exact."""

    stream: str
    part: str
    offset: int
    length: int
    text: str
    base64: str
    total_bytes: Annotated[int, Meta(description="What the command wrote.")]
    head_bytes: Annotated[int, Meta(description="What is kept of its beginning.")]
    tail_bytes: Annotated[int, Meta(description="What is kept of its end, after a gap; 0 when the head is everything.")]
    truncated: bool
    sha256: Annotated[
        str | None, Meta(description="Of the whole stream, as the agent computed it; null for a silent one.")
    ]
    final: Annotated[
        bool, Meta(description="False while the execution has not ended: its output comes with its result.")
    ]


class IdentityView(Struct, kw_only=True):
    """What is known of a host's certificates."""

    state: Annotated[
        str,
        Meta(description="enrolled, revoked, quarantined, or released: may join again, and is refused until it has."),
    ]
    generation: Annotated[int, Meta(description="Grows with every renewal.")]
    certificate_expires_at: Annotated[int, Meta(description="Of the newest certificate given to it.")]
    revoked_at: int | None
    revoked_by: str | None
    quarantined_at: int | None
    quarantine_reason: str | None


class JoinTokenView(Struct, kw_only=True):
    """A join token, without its text."""

    token_id: Annotated[str, Meta(description="The public part of its text, jt_ID_….")]
    expires_at: int
    uses_left: int
    labels: Annotated[dict[str, str], Meta(description="Given to every host that joins with it.")]
    networks: Annotated[list[str], Meta(description="CIDR blocks from which hosts may join with it; none for any.")]
    approve: Annotated[bool, Meta(description="Each join waits until an operator approves it.")]
    replace: Annotated[
        bool, Meta(description="A host that joins with it takes the place of hosts of its name that are offline.")
    ]
    created_by: str
    created_at: int


class JoinTokenCreated(JoinTokenView, kw_only=True):
    """A new join token."""

    token: Annotated[str, Meta(description="Its text, shown this once.")]
    ca_pin: Annotated[str | None, Meta(description="For `clarion-agent join --ca-pin`; null on a server without TLS.")]
    enrol_host: Annotated[str | None, Meta(description="Address on which the enrolment port listens.")]
    enrol_port: int | None


class JoinRequestView(Struct, kw_only=True):
    """A join that waits for an operator's word."""

    request_id: Annotated[
        str, Meta(description="Of the token and the key that the host has made; the agent logs it too.")
    ]
    state: Annotated[str, Meta(description="pending, approved: joins when it asks next, or denied.")]
    hostname: Annotated[str, Meta(description="A claim of the host.")]
    address: Annotated[str, Meta(description="From which it first asked.")]
    previous_host_id: Annotated[str | None, Meta(description="Of a host that joins again.")]
    token_id: str
    created_at: int
    expires_at: Annotated[int, Meta(description="When it is dropped.")]
    decided_at: int | None
    decided_by: str | None


class JoinRequestPage(Struct, kw_only=True):
    """One page of joins that wait."""

    items: list[JoinRequestView]
    next: Cursor


class JoinTokenPage(Struct, kw_only=True):
    """One page of join tokens."""

    items: list[JoinTokenView]
    next: Cursor


class HostView(Struct, kw_only=True):
    """A machine."""

    host_id: str
    hostname: Annotated[str, Meta(description="The name that an operator has given it, else what its agent calls it.")]
    selector: Annotated[
        str,
        Meta(
            description=(
                "The word that means this host and no other in a selector: its name, in quotes if need be, or its id."
            )
        ),
    ]
    given_name: Annotated[
        str | None, Meta(description="Given by an operator; null for a host that is called as its agent says.")
    ]
    former_names: Annotated[
        list[str],
        Meta(description="Names that it had before, the last one first. Tasks of then are found by them too."),
    ]
    replaced_by: Annotated[
        str | None,
        Meta(
            description="The id of the host that has taken its place and its name. Such a host is meant by its id only."
        ),
    ]
    replaced_at: int | None
    ip: str
    os: str
    arch: str
    version: Annotated[str, Meta(description="Of its agent.")]
    labels: Annotated[dict[str, str], Meta(description="Given by operators.")]
    agent_labels: Annotated[
        dict[str, str],
        Meta(description="Given by the agent's own configuration; an operator's label of the same name goes before."),
    ]
    connected: bool
    connected_since: int | None
    open_executions: Annotated[int, Meta(description="Executions on this host that have not ended.")]
    identity: Annotated[
        IdentityView | None, Meta(description="null for a host that has never joined with a certificate.")
    ]
    first_seen_at: int | None
    last_seen_at: Annotated[
        int | None,
        Meta(description="When it was last heard of; of a connected host that is now, give or take a heartbeat."),
    ]
    created_at: int
    updated_at: int


class HostPage(Struct, kw_only=True):
    """One page of hosts."""

    items: list[HostView]
    next: Cursor
    folded: Annotated[str | None, Meta(description="The names on this page, folded; with `fold=true` only.")] = None


class SessionView(Struct, kw_only=True):
    """Who calls."""

    name: Annotated[str, Meta(description="What `created_by` says of tasks that this caller creates.")]
    csrf: Annotated[str | None, Meta(description="Of the session; null for those who send a token.")]


class HostCounts(Struct, kw_only=True):
    """Hosts known and connected."""

    known: int
    connected: int


class StatisticsView(Struct, kw_only=True):
    """Counts over everything stored, from memory."""

    tasks: dict[str, int]
    executions: dict[str, int]
    hosts: HostCounts


class LiveView(Struct, kw_only=True):
    """The process answers."""

    status: str
    version: str


class ReadyView(Struct, kw_only=True):
    """Whether work is taken."""

    status: str


class DeepView(Struct, kw_only=True):
    """What each part says of itself. `ok` is that of all."""

    ok: bool
    version: str
    checks: dict[str, dict[str, Any]]


class ErrorDetail(Struct, kw_only=True):
    """One error. Some codes have members of their own, e.g. `unknown` and `malformed` of unknown_hosts."""

    code: Annotated[str, Meta(description="Stable; see docs/reference/errors.md.")]
    message: str
    field: Annotated[str | None, Meta(description="Dotted name of the offending field, query parameter or header.")]
    hint: Annotated[str, Meta(description="What to do.")]
    request_id: Annotated[str, Meta(description="The same as in X-Request-Id and in the server's log.")]


class ErrorBody(Struct, kw_only=True):
    """The one shape of every error."""

    error: ErrorDetail


class ProblemDetails(Struct, kw_only=True):
    """An error as problem details of RFC 9457, for clients that accept application/problem+json. Some codes have
    members of their own."""

    type: Annotated[str, Meta(description="`urn:clarion:error:CODE`.")]
    title: Annotated[str, Meta(description="What every error with this code means.")]
    status: int
    detail: Annotated[str, Meta(description="What is wrong with this request.")]
    code: Annotated[str, Meta(description="Stable; see docs/reference/errors.md.")]
    field: Annotated[str | None, Meta(description="Dotted name of the offending field, query parameter or header.")]
    hint: Annotated[str, Meta(description="What to do.")]
    request_id: Annotated[str, Meta(description="The same as in X-Request-Id and in the server's log.")]
