"""Responses about the results of a task: groups of equal results, differences, search, and the map of host states."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.web.schemas.executions import ErrorView, NoteView
from server.web.schemas.fields import ExecutionStatusWord, TaskStatusWord

Folded = Annotated[str, Meta(description="Host names in folded form, such as `web[001-480,512]`.")]
More = Annotated[int, Meta(description="Number of names that `folded` omits.")]


class BeginningView(Struct, kw_only=True):
    """The beginning of an output. `/tasks/ID/hosts/HOST/output` for the group's first host returns all of it."""

    output_id: str
    text: Annotated[str, Meta(description="With replacement characters where the bytes are not UTF-8.")]
    whole: Annotated[bool, Meta(description="`text` is the whole output.")]
    total_bytes: Annotated[int | None, Meta(description="null for an output that is no longer stored.")]
    truncated: bool | None


class FirstHost(Struct, kw_only=True):
    """The first host of a group, by name."""

    host_id: str
    hostname: str


class GroupView(Struct, kw_only=True):
    """Hosts with the same result: status, exit code, signal, reason, and every byte of output."""

    number: Annotated[int, Meta(description="The order in which the groups first appeared. It does not change.")]
    selector: Annotated[str, Meta(description="A selector for these hosts, for `targets` of another task.")]
    count: int
    folded: Folded
    more: More
    first_host: FirstHost
    status: ExecutionStatusWord
    word: Annotated[
        str,
        Meta(
            description=("The display name of the status: completed, failed, timed out, canceled, not started or lost.")
        ),
    ]
    message: str
    hint: str
    exit_code: int | None
    signal: int | None
    error: Annotated[ErrorView | None, Meta(description="`detail` is the message of the first host's agent.")]
    notes: Annotated[
        list[NoteView],
        Meta(
            description=(
                "Facts that need attention, with the number of hosts. For a running task they may be a few seconds old."
            )
        ),
    ]
    stdout: BeginningView | None
    stderr: BeginningView | None


class GroupPage(Struct, kw_only=True):
    """One page of a task's result groups."""

    task_id: str
    status: TaskStatusWord
    version: int
    groups: Annotated[int, Meta(description="Total number of groups, without the filter.")]
    hosts: Annotated[int, Meta(description="Number of hosts that have ended.")]
    open: Annotated[dict[str, int], Meta(description="Number of hosts that have not ended, by status.")]
    items: list[GroupView]
    next: Annotated[
        int | None,
        Meta(
            description=(
                "Pass it as `after` to get the next page; null on the last page. With a filter, a page may be short."
            )
        ),
    ]


class DiffView(Struct, kw_only=True):
    """The difference between the outputs of two groups."""

    group: int
    against: int
    stream: str
    diff: Annotated[
        str,
        Meta(
            description=(
                "In unified format; empty if the outputs are equal. A line that begins with a backslash follows a last "
                "line that has no line end."
            )
        ),
    ]
    removed: int
    added: int
    exact: Annotated[
        bool,
        Meta(
            description=(
                "true if some lines look equal on both sides. Then every byte is shown: a carriage return as `\\r`, a "
                "backslash as `\\\\`."
            )
        ),
    ]
    difference: Annotated[
        str | None,
        Meta(
            description=(
                "What differs if the two outputs look equal, such as the line ends; null if the difference is visible."
            )
        ),
    ]
    complete: Annotated[
        bool, Meta(description="false if lines were omitted because of length, or parts of an output are not stored.")
    ]


class CellsView(Struct, kw_only=True):
    """The hosts of a task, in the order of their states."""

    task_id: str
    total: int
    names: Annotated[list[str], Meta(description="Current names; for a deleted host, its id.")]
    ids: Annotated[str, Meta(description="Host ids, 16 bytes each, in base64.")]


class SearchHit(Struct, kw_only=True):
    """A group whose output contains the text."""

    group: int
    count: int
    folded: str
    more: int
    first_host: FirstHost
    stream: str
    matches: int
    line: Annotated[
        int | None,
        Meta(description="Line number of the first match; null if it follows a part of the output that is not stored."),
    ]
    text: Annotated[str, Meta(description="That line, shortened.")]


class SearchPage(Struct, kw_only=True):
    """One page of search results."""

    task_id: str
    searched: Annotated[
        int, Meta(description="Number of different outputs that this request has read; equal outputs are read once.")
    ]
    items: list[SearchHit]
    next: Annotated[int | None, Meta(description="Pass it as `after` to continue; null if everything was searched.")]
