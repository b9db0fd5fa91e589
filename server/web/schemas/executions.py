"""Responses about executions: one command on one host, its result and its output."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from server.web.schemas.fields import ByAgent, Cursor, ExecutionStatusWord


class ErrorView(Struct, kw_only=True):
    """The reason why a host did not complete."""

    phase: Annotated[str, Meta(description="admit, deliver, start, run or report.")]
    code: str
    message: str
    detail: Annotated[str | None, Meta(description="The agent's own message.")]
    hint: str
    retryable: bool


class StopView(Struct, kw_only=True):
    """How the execution was stopped, and the outcome. The agent's clock measures the times of the signals."""

    outcome: Annotated[
        str,
        Meta(
            description=(
                "`never_started`: it did not run; `stopping`: the agent was asked to stop it; `unreachable`: the host "
                "is or was offline, so the command may still be running; `finished`: it ended by itself before; "
                "`killed`: none of its processes is left; `unconfirmed`: signals were sent, and it is not proven that "
                "the last process ended."
            )
        ),
    ]
    reason: Annotated[str | None, Meta(description="canceled, timeout, expired or output_limit.")]
    requested_at: Annotated[
        int | None, Meta(description="When the server first requested the stop; null if the agent decided it.")
    ]
    term_at: Annotated[int | None, Meta(description="When SIGTERM was sent; null if it was not sent.")]
    kill_at: Annotated[int | None, Meta(description="When SIGKILL was sent; null if it was not needed.")]


class OutputSummaryView(Struct, kw_only=True):
    """The size of an output. Another request reads its bytes."""

    output_id: str
    total_bytes: int | None
    truncated: bool | None


class NoteView(Struct, kw_only=True):
    """A fact about the execution that needs attention, whatever the exit code is."""

    code: Annotated[str, Meta(description="A code from docs/reference/reasons.md, section Notes.")]
    message: str
    hint: Annotated[str, Meta(description="What to do.")]
    count: Annotated[int | None, Meta(description="Number of processes, if the agent counted them.")] = None
    hosts: Annotated[int | None, Meta(description="For a group: the number of its hosts with this note.")] = None


class ExecutionRow(Struct, kw_only=True):
    """One command on one host, in a list."""

    host_id: str
    hostname: str
    command_id: str
    attempt: int
    status: ExecutionStatusWord
    unreachable: Annotated[
        bool,
        Meta(
            description=(
                "The execution has not ended and its host is offline. The server accepts the result when the agent "
                "reconnects."
            )
        ),
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
                "What a pending execution waits for: `start` of the task, `host` (it is offline), `retry` (the pause "
                "before another attempt) or `turn` (limits are reached)."
            )
        ),
    ]
    retry_at: Annotated[int | None, Meta(description="When the next attempt is due.")]
    stop: Annotated[StopView | None, Meta(description="null unless a cancel, a timeout or a limit stopped it.")]
    error: ErrorView | None
    notes: Annotated[
        list[NoteView],
        Meta(description="Facts that need attention: processes killed or left running, output not kept."),
    ]
    stdout: OutputSummaryView | None
    stderr: OutputSummaryView | None


class ExecutionView(ExecutionRow, kw_only=True):
    """One command on one host."""

    report: Annotated[
        dict[str, Any] | None,
        Meta(description="Further facts from the agent: resource usage, how processes were ended, flags."),
    ]
    earlier: Annotated[list[dict[str, Any]], Meta(description="How earlier attempts ended, the first one first.")]
    late_result: Annotated[
        dict[str, Any] | None,
        Meta(description="A report that arrived after the execution had ended. It changed nothing."),
    ]


class ExecutionPage(Struct, kw_only=True):
    """One page of a task's hosts."""

    items: list[ExecutionRow]
    next: Cursor


class OutputView(Struct, kw_only=True):
    """A part of the stored output of a stream. `text` contains replacement characters where the bytes are not UTF-8;
    `base64` is exact."""

    stream: str
    part: str
    offset: int
    length: int
    text: str
    base64: str
    total_bytes: Annotated[int, Meta(description="Bytes that the command wrote.")]
    head_bytes: Annotated[int, Meta(description="Bytes stored from the beginning.")]
    tail_bytes: Annotated[
        int, Meta(description="Bytes stored from the end, after a gap; 0 if the head is the whole output.")
    ]
    truncated: bool
    sha256: Annotated[
        str | None, Meta(description="Of the whole stream, computed by the agent; null for an empty stream.")
    ]
    final: Annotated[
        bool, Meta(description="false while the execution has not ended; its output arrives with its result.")
    ]


class PastView(Struct, kw_only=True):
    """One execution in the history of a host."""

    task_id: str
    name: Annotated[str, Meta(description="The task's name.")]
    status: ExecutionStatusWord
    word: str
    unreachable: bool
    exit_code: int | None
    signal: int | None
    started_at: int | None
    finished_at: int | None
    execution_ms: int | None
    error: ErrorView | None


class PastPage(Struct, kw_only=True):
    """One page of a host's history."""

    items: list[PastView]
    next: Cursor
