"""What a task's hosts answered, by kind: hosts whose status, exit code and outputs are the same are one group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from server.core.selector import Refinement, Results
from server.core.states import ExecutionStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """A kind of answer. host_ids: in no order. first_at: ms since 1970, when the first of them ended. unreachable: how many are.

    number: from 1, in the order in which the kinds first came, so that it stays when more answers come; 0 for rows that have not ended,
    which are no answer yet.
    """

    status: ExecutionStatus
    exit_code: int | None
    signal: int | None
    error_code: str | None
    stdout_id: bytes | None
    stderr_id: bytes | None
    first_at: int | None
    unreachable: int
    host_ids: tuple[str, ...]
    number: int = 0

    @property
    def count(self) -> int:
        return len(self.host_ids)

    @property
    def outputs(self) -> tuple[bytes, ...]:
        """The ids of what they wrote, stdout first."""
        return tuple(output_id for output_id in (self.stdout_id, self.stderr_id) if output_id is not None)


def numbered(answers: Iterable[Answer], before: Iterable[Answer] = ()) -> list[Answer]:
    """Those that have ended, by number, and then those that have not. Equal times are ordered by content.

    before: as numbered when there were fewer. A kind keeps the number that it was shown with, also when one comes later whose time is
    the same or, by a clock that was set back, earlier.
    """
    found, shown = list(answers), {_kind(one): one.number for one in before}
    ended = sorted((one for one in found if one.status.final), key=lambda one: (shown.get(_kind(one), len(shown) + 1), one.first_at or 0, _kind(one)))
    return [replace(one, number=number) for number, one in enumerate(ended, 1)] + [one for one in found if not one.status.final]


def largest_first(answers: Iterable[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda one: (-one.count, one.number))


def outliers_first(answers: Iterable[Answer]) -> list[Answer]:
    """What did not complete before what did, and in each the rarest first."""
    return sorted(answers, key=lambda one: (one.status is ExecutionStatus.COMPLETED, one.count, one.number))


def hosts_of(answers: Sequence[Answer], results: Results) -> frozenset[str]:
    """The hosts whose rows pass all of its refinements."""
    return frozenset(host_id for one in answers if all(_passes(one, refinement) for refinement in results.refinements) for host_id in one.host_ids)


def _passes(answer: Answer, refinement: Refinement) -> bool:
    value = {
        "status": int(answer.status),
        "group": answer.number or None,
        "exit_code": answer.exit_code,
        "reason": answer.error_code,
    }[refinement.field]
    return (value in refinement.values) is not refinement.negate


def _kind(answer: Answer) -> tuple[object, ...]:
    nothing = b""
    return (
        int(answer.status),
        -1 if answer.exit_code is None else answer.exit_code,
        answer.signal or 0,
        answer.error_code or "",
        answer.stdout_id or nothing,
        answer.stderr_id or nothing,
    )
