"""Responses about tasks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.web.schemas.fields import Cursor, TaskStatusWord


class CommandView(Struct, kw_only=True):
    """The command of a task."""

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
    stdin_bytes: Annotated[int | None, Meta(description="Length of its standard input, in bytes.")]
    timeout_ms: int
    grace_ms: int
    start_within_ms: int
    max_output: int
    leave_children: Annotated[bool, Meta(description="The agent does not end processes that outlive the command.")]
    detach: Annotated[bool, Meta(description="The earlier name of `leave_children`, with the same value.")]
    success_codes: list[int]


class RetryView(Struct, kw_only=True):
    """The retry policy of a task."""

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
    failed_hosts: Annotated[int, Meta(description="Hosts that ended with any status other than completed.")]
    partial: Annotated[bool, Meta(description="Some hosts completed and some did not.")]
    counts: Annotated[dict[str, int], Meta(description="Number of hosts per status; the sum is total_hosts.")]
    timeout_ms: int | None
    concurrency: int | None
    cancel_requested_at: int | None
    cancel_reason: str | None
    version: Annotated[int, Meta(description="Increases with every change; pass it as `since` in a long poll.")]
    rerun_of: Annotated[str | None, Meta(description="The task that this one repeats on some of its hosts.")]
    waits_for: Annotated[
        str | None,
        Meta(
            description=(
                "What the task waits for: `start` (it has not been started), `hosts` (limits are reached, or hosts "
                "are offline), or null."
            )
        ),
    ]


class TaskView(TaskRow, kw_only=True):
    """A task."""

    parameters: dict[str, str]
    target_text: Annotated[str, Meta(description="The targets as they were requested.")]
    sets: Annotated[
        dict[str, int], Meta(description="The host sets that the targets used, each with its version at that time.")
    ]
    if_offline: Annotated[str, Meta(description="fail or wait.")]
    wait_for_ms: Annotated[
        int | None, Meta(description="With `wait`: how long to wait for hosts, from the start; null with `fail`.")
    ]
    retry: RetryView | None
    command: CommandView


class TaskPage(Struct, kw_only=True):
    """One page of tasks."""

    items: list[TaskRow]
    next: Cursor


class SlowHost(Struct, kw_only=True):
    """A host that is still running the command."""

    host_id: str
    hostname: str | None


class ProgressView(Struct, kw_only=True):
    """The progress of a task, from committed state only."""

    task_id: str
    status: TaskStatusWord
    version: int
    total: int
    completed: int
    failed: int
    percent: Annotated[float, Meta(description="Share of hosts that have ended, with any status.")]
    counts: dict[str, int]
    rate_per_s: Annotated[
        float | None,
        Meta(
            description=(
                "Hosts per second that completed, failed or timed out. For a running task: over the last 15 seconds; "
                "for a task that has ended: over its whole run. Hosts that were canceled or never started do not count."
            )
        ),
    ]
    eta_ms: Annotated[
        int | None,
        Meta(
            description="Estimated time left at this rate; null without a rate, and after the task has been canceled."
        ),
    ]
    elapsed_ms: int | None
    cancel_requested_at: Annotated[
        int | None,
        Meta(description="When the whole task was canceled, or null. Hosts that have not ended are being stopped."),
    ]
    slowest: Annotated[list[SlowHost], Meta(description="Up to five hosts, the longest running first.")]
