"""Result groups of a task: hosts with the same status, exit code and outputs form one group."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from server.core.selectors.parser import Refinement, TaskResults
from server.core.states import ExecutionStatus

KIND = 8
"""Bytes of a digest that identifies a kind."""

Kind = tuple[ExecutionStatus, int | None, int | None, str | None, bytes | None, bytes | None]
"""Status, exit code, signal, reason code, id of stdout, id of stderr."""


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Hosts with the same result.

    Attributes:
        status: Status of the executions.
        exit_code: Their exit code.
        signal: Their signal.
        error_code: Their reason code.
        stdout_id: Id of their stdout.
        stderr_id: Id of their stderr.
        first_at: When the first of them ended, in milliseconds since 1970.
        host_ids: The hosts, in no order.
        number: From 1, in the order in which the groups first appeared. 0 for executions that have not ended.
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
        """Number of hosts."""
        return len(self.host_ids)

    @property
    def kind(self) -> Kind:
        """The values that are the same for all hosts of the group."""
        return (self.status, self.exit_code, self.signal, self.error_code, self.stdout_id, self.stderr_id)

    @property
    def outputs(self) -> tuple[bytes, ...]:
        """Ids of the outputs, stdout first."""
        return tuple(output_id for output_id in (self.stdout_id, self.stderr_id) if output_id is not None)


class KindOrder:
    """Numbers a task's groups in the order in which they were first shown.

    A group keeps its number, also when a group that appears later has the same or an earlier time. As bytes, KIND for
    each group, the order is stored and survives a restart of the server.
    """

    def __init__(self, kinds: bytes = b"") -> None:
        """Read a stored order; empty bytes are an order without groups."""
        self._numbers = {kinds[at : at + KIND]: at // KIND + 1 for at in range(0, len(kinds) - KIND + 1, KIND)}

    def __bytes__(self) -> bytes:
        """Return the order as it is stored."""
        return b"".join(self._numbers)

    def numbered(self, answers: Iterable[ResultGroup]) -> list[ResultGroup]:
        """Return the groups with their numbers: ended ones by number, then those that have not ended.

        New groups get the next numbers in the order of their first times. Equal times are ordered by content.
        """
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
    """Return the groups with the most hosts first."""
    return sorted(answers, key=lambda one: (-one.count, one.number))


def outliers_first(answers: Iterable[ResultGroup]) -> list[ResultGroup]:
    """Return groups that did not complete before those that did; among each, the smallest first."""
    return sorted(answers, key=lambda one: (one.status is ExecutionStatus.COMPLETED, one.count, one.number))


def hosts_of(answers: Sequence[ResultGroup], results: TaskResults) -> frozenset[str]:
    """Return the hosts of the groups that pass all refinements of a task's results."""
    return frozenset(
        host_id
        for one in answers
        if all(_passes(one, refinement) for refinement in results.refinements)
        for host_id in one.host_ids
    )


SLICE = 2_000
"""Units of work after which other tasks run, about a millisecond. A test of a group is one unit, ten hosts another."""


def hosts_in_slices(answers: Sequence[ResultGroup], results: TaskResults) -> Generator[None, None, frozenset[str]]:
    """Do the same as `hosts_of` and yield after each slice of work."""
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
    """Return KIND bytes that identify the group's kind.

    Two of ten thousand groups have the same bytes with a probability of 3e-12.
    """
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
