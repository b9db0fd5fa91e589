"""What clients receive of selectors and of answers, as Structs. The rest stands in views.py."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.web.schemas.responses import Cursor, ErrorView, ExecutionStatusWord, NoteView, TaskStatusWord


class SelectedHost(Struct, kw_only=True):
    """One of the hosts that a selector means."""

    host_id: str
    hostname: str
    selector: Annotated[str, Meta(description="The word that means this host and no other in a selector.")]
    connected: bool


class WarningView(Struct, kw_only=True):
    """Something that may not be what was meant."""

    code: Annotated[str, Meta(description="unknown_hosts, ambiguous_hosts, nothing_matched or hosts_deleted.")]
    message: str
    count: Annotated[int, Meta(description="Of names; with hosts_deleted: of hosts.")]
    names: list[str]
    ids: Annotated[
        dict[str, list[str]], Meta(description="With ambiguous_hosts: the ids of the hosts of each name.")
    ] = {}


class SelectionView(Struct, kw_only=True):
    """Which hosts a selector means now."""

    text: str
    count: int
    offline: Annotated[int, Meta(description="How many of them are not connected.")]
    folded: Annotated[str, Meta(description="Their names, folded: `web[001-480,512]`. Itself a selector.")]
    more: Annotated[int, Meta(description="Names that `folded` has no room for.")]
    sample: list[SelectedHost]
    warnings: list[WarningView]
    refused: Annotated[bool, Meta(description="A task for these targets would be refused.")]


class BeginningView(Struct, kw_only=True):
    """How an output begins. All of it: `/tasks/ID/hosts/HOST/output`, for the first host of the group."""

    output_id: str
    text: Annotated[str, Meta(description="With replacement characters where the bytes are not UTF-8.")]
    whole: Annotated[bool, Meta(description="`text` is all that the command wrote.")]
    total_bytes: Annotated[int | None, Meta(description="null for an output that is no longer kept.")]
    truncated: bool | None


class FirstHost(Struct, kw_only=True):
    """The first host of a group, by name."""

    host_id: str
    hostname: str


class GroupView(Struct, kw_only=True):
    """Hosts that gave the same answer: status, exit code, signal, reason, and every byte of output."""

    number: Annotated[int, Meta(description="In the order in which the groups first appeared; it stays.")]
    selector: Annotated[str, Meta(description="Means these hosts, as `targets` of another task.")]
    count: int
    folded: Annotated[str, Meta(description="Names of hosts, folded: `web[001-480,512]`.")]
    more: Annotated[int, Meta(description="Names that `folded` has no room for.")]
    first_host: FirstHost
    status: ExecutionStatusWord
    word: Annotated[
        str,
        Meta(
            description="The word of the status, for people: completed, failed, timed out, canceled, not started or lost."  # noqa: E501
        ),
    ]
    message: str
    hint: str
    exit_code: int | None
    signal: int | None
    error: Annotated[ErrorView | None, Meta(description="`detail` is what the agent of the first host said.")]
    notes: Annotated[
        list[NoteView],
        Meta(
            description=(
                "What else happened that an operator must know, with the number of hosts. Of a task that runs, a "
                "few seconds old."
            )
        ),
    ]
    stdout: BeginningView | None
    stderr: BeginningView | None


class GroupPage(Struct, kw_only=True):
    """A task's answers, by kind."""

    task_id: str
    status: TaskStatusWord
    version: int
    groups: Annotated[int, Meta(description="How many groups there are, whatever the filter.")]
    hosts: Annotated[int, Meta(description="Hosts that have answered.")]
    open: Annotated[dict[str, int], Meta(description="Hosts that have not, by status.")]
    items: list[GroupView]
    next: Annotated[
        int | None,
        Meta(
            description="Pass it as `after` for the next page; null on the last one. With a filter a page may be short."
        ),
    ]


class DiffView(Struct, kw_only=True):
    """How a group's output differs from another's."""

    group: int
    against: int
    stream: str
    diff: Annotated[
        str,
        Meta(
            description=(
                "Unified; empty when they are the same. A last line without its end is followed by a line that "
                "begins with a backslash."
            )
        ),
    ]
    removed: int
    added: int
    exact: Annotated[
        bool,
        Meta(
            description=(
                "Some lines look the same on both sides and are written with every byte visible: a carriage return "
                "is `\\r`, a backslash `\\\\`."
            )
        ),
    ]
    difference: Annotated[
        str | None,
        Meta(
            description=(
                "What differs where the two outputs look the same, such as the ends of lines; null where one can "
                "see it."
            )
        ),
    ]
    complete: Annotated[
        bool, Meta(description="False when lines were left away for length, or parts of an output are not kept.")
    ]


class PastView(Struct, kw_only=True):
    """One thing that a host was told to do."""

    task_id: str
    name: Annotated[str, Meta(description="Of the task.")]
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


class WordView(Struct, kw_only=True):
    """What people are told."""

    word: str
    message: str
    hint: str


class SayingView(Struct, kw_only=True):
    """A sentence and what to do."""

    message: str
    hint: str


class StepView(Struct, kw_only=True):
    """A way from one state to another."""

    before: str
    step: str
    after: str


class WordsView(Struct, kw_only=True):
    """The catalogue."""

    states: Annotated[
        dict[str, WordView],
        Meta(
            description=(
                "By an execution's status, and `unreachable`: what is added, in parentheses, to the word of one "
                "that has not ended and whose host is offline."
            )
        ),
    ]
    tasks: Annotated[dict[str, WordView], Meta(description="By a task's status.")]
    hosts: Annotated[dict[str, WordView], Meta(description="online, offline, never_seen.")]
    reasons: Annotated[
        dict[str, WordView],
        Meta(description="By code. The word is that of the status in which such an execution ends."),
    ]
    notes: Annotated[dict[str, SayingView], Meta(description="Of `notes`, by code.")]
    task_steps: list[StepView]
    execution_steps: list[StepView]


class CellsView(Struct, kw_only=True):
    """A task's hosts, in the order of their states."""

    task_id: str
    total: int
    names: Annotated[list[str], Meta(description="As they are called now; the id of a host that has been deleted.")]
    ids: Annotated[str, Meta(description="Their ids, 16 bytes each, in base64.")]


class SearchHit(Struct, kw_only=True):
    """A group in whose output the text was found."""

    group: int
    count: int
    folded: str
    more: int
    first_host: FirstHost
    stream: str
    matches: int
    line: Annotated[
        int | None,
        Meta(description="Number of the line of the first match; null if it lies after a part that is not kept."),
    ]
    text: Annotated[str, Meta(description="That line, shortened.")]


class SearchPage(Struct, kw_only=True):
    """Where a text was found."""

    task_id: str
    searched: Annotated[int, Meta(description="Different outputs read by this request; equal ones are read once.")]
    items: list[SearchHit]
    next: Annotated[int | None, Meta(description="Pass it as `after` to go on; null when all was searched.")]
