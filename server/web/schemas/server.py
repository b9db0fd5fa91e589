"""Responses about the server itself: sessions, statistics, health, vocabulary."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct


class SessionView(Struct, kw_only=True):
    """The caller."""

    name: Annotated[str, Meta(description="The value of `created_by` in tasks that this caller creates.")]
    csrf: Annotated[str | None, Meta(description="The session's CSRF token; null for callers that send a token.")]


class HostCounts(Struct, kw_only=True):
    """Numbers of known and connected hosts."""

    known: int
    connected: int


class StatisticsView(Struct, kw_only=True):
    """Counts over everything stored, from memory."""

    tasks: dict[str, int]
    executions: dict[str, int]
    hosts: HostCounts


class LiveView(Struct, kw_only=True):
    """The process is alive."""

    status: str
    version: str


class ReadyView(Struct, kw_only=True):
    """True if the server accepts work."""

    status: str


class DeepView(Struct, kw_only=True):
    """The health of each part of the server. `ok` is true if all parts are healthy."""

    ok: bool
    version: str
    checks: dict[str, dict[str, Any]]


class WordView(Struct, kw_only=True):
    """The display name, explanation and hint for one code."""

    word: str
    message: str
    hint: str


class SayingView(Struct, kw_only=True):
    """The explanation and hint for one note."""

    message: str
    hint: str


class StepView(Struct, kw_only=True):
    """A transition between two states."""

    before: str
    step: str
    after: str


class WordsView(Struct, kw_only=True):
    """Display names, explanations and hints for all codes, in one language."""

    states: Annotated[
        dict[str, WordView],
        Meta(
            description=(
                "By execution status. `unreachable` is added in parentheses to the word of an execution that has not "
                "ended and whose host is offline."
            )
        ),
    ]
    tasks: Annotated[dict[str, WordView], Meta(description="By task status.")]
    hosts: Annotated[dict[str, WordView], Meta(description="online, offline, never_seen.")]
    reasons: Annotated[
        dict[str, WordView],
        Meta(description="By reason code. The word is that of the status in which such an execution ends."),
    ]
    notes: Annotated[dict[str, SayingView], Meta(description="By code of a note.")]
    task_steps: list[StepView]
    execution_steps: list[StepView]
