"""What a task's hosts answered, by kind: hosts whose status, exit code and outputs are the same are one group."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from server.core.selectors.parser import Refinement, TaskResults
from server.core.states import ExecutionStatus

KIND = 8
"""Bytes."""

Kind = tuple[ExecutionStatus, int | None, int | None, str | None, bytes | None, bytes | None]
"""Status, exit code, signal, code of the reason, ids of stdout and stderr."""


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """A kind of answer. host_ids: in no order. first_at: ms since 1970, when the first of them ended.

    number: from 1, in the order in which the kinds first came; 0 for rows that have not ended, which are no answer yet.
    """

    status: ExecutionStatus
    exit_code: int | None
    signal: int | None
    error_code: str | None
    stdout_id: bytes | None
    stderr_id: bytes | None
    first_at: int | None
    host_ids: tuple[str, ...]
    number: int = 0

    @property
    def count(self) -> int:
        return len(self.host_ids)

    @property
    def kind(self) -> Kind:
        """What makes two answers the same."""
        return (self.status, self.exit_code, self.signal, self.error_code, self.stdout_id, self.stderr_id)

    @property
    def outputs(self) -> tuple[bytes, ...]:
        """The ids of what they wrote, stdout first."""
        return tuple(output_id for output_id in (self.stdout_id, self.stderr_id) if output_id is not None)


class KindOrder:
    """The order in which a task's kinds of answers were first shown, which is how they are numbered from then on: also
    when one is shown
    later whose time is the same or, by a clock that was set back, earlier. As bytes, KIND for each kind, it outlasts
    the server."""

    def __init__(self, kinds: bytes = b"") -> None:
        self._numbers = {kinds[at : at + KIND]: at // KIND + 1 for at in range(0, len(kinds) - KIND + 1, KIND)}

    def __bytes__(self) -> bytes:
        return b"".join(self._numbers)

    def numbered(self, answers: Iterable[ResultGroup]) -> list[ResultGroup]:
        """Those that have ended, by number, and then those that have not. Kinds that are new get the next numbers, in
        the order of their
        first times; equal times are ordered by content."""
        found = list(answers)
        ended = [(_digest(one), one) for one in found if one.status.final]
        fresh = sorted(
            ((one.first_at or 0, _kind(one), digest) for digest, one in ended if digest not in self._numbers)
        )
        for _, _, digest in fresh:
            self._numbers[digest] = len(self._numbers) + 1
        shown = sorted(
            (replace(one, number=self._numbers[digest]) for digest, one in ended), key=lambda one: one.number
        )
        return shown + [one for one in found if not one.status.final]


def largest_first(answers: Iterable[ResultGroup]) -> list[ResultGroup]:
    return sorted(answers, key=lambda one: (-one.count, one.number))


def outliers_first(answers: Iterable[ResultGroup]) -> list[ResultGroup]:
    """What did not complete before what did, and in each the rarest first."""
    return sorted(answers, key=lambda one: (one.status is ExecutionStatus.COMPLETED, one.count, one.number))


def hosts_of(answers: Sequence[ResultGroup], results: TaskResults) -> frozenset[str]:
    """The hosts whose rows pass all of its refinements."""
    return frozenset(
        host_id
        for one in answers
        if all(_passes(one, refinement) for refinement in results.refinements)
        for host_id in one.host_ids
    )


SLICE = 2_000
"""Tests of an answer, or hosts taken over, after which others have a turn; about a millisecond."""


def hosts_in_slices(answers: Sequence[ResultGroup], results: TaskResults) -> Generator[None, None, frozenset[str]]:
    """As `hosts_of`, a slice at a time."""
    found: set[str] = set()
    left = SLICE
    for one in answers:
        left -= 1 + len(results.refinements) + one.count // 10
        if all(_passes(one, refinement) for refinement in results.refinements):
            found.update(one.host_ids)
        if left < 0:
            left = SLICE
            yield
    return frozenset(found)


def _passes(answer: ResultGroup, refinement: Refinement) -> bool:
    value = {
        "status": int(answer.status),
        "group": answer.number or None,
        "exit_code": answer.exit_code,
        "reason": answer.error_code,
    }[refinement.field]
    return (value in refinement.values) is not refinement.negate


def _digest(answer: ResultGroup) -> bytes:
    """KIND bytes that stand for what makes two answers the same: among ten thousand, two have the same with a
    probability of 3e-12."""
    return sha256(repr(_kind(answer)).encode()).digest()[:KIND]


def _kind(answer: ResultGroup) -> tuple[object, ...]:
    nothing = b""
    return (
        int(answer.status),
        -1 if answer.exit_code is None else answer.exit_code,
        answer.signal or 0,
        answer.error_code or "",
        answer.stdout_id or nothing,
        answer.stderr_id or nothing,
    )
