"""Decodes executions that a database returns as lines of text; see queries/answers_mysql.sql."""

from __future__ import annotations

from collections.abc import Iterable

from server.core.results.groups import ResultGroup
from server.core.states import ExecutionStatus

_STATUSES = tuple(ExecutionStatus)
_NONE = "-"


def answers_from_lines(lines: Iterable[str]) -> list[ResultGroup]:
    """Group the lines of the query `answer_lines`, in any order, by result."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kind, _, who = line.partition("\t")
        kinds.setdefault(kind, []).append(who)
    return [_answer(kind.split(" "), rows) for kind, rows in kinds.items()]


def _answer(kind: list[str], rows: list[str]) -> ResultGroup:
    status, exit_code, signal, error_code, _, stdout_id, stderr_id = kind
    times, host_ids = zip(*(row.split(" ") for row in rows), strict=True)
    return ResultGroup(
        status=_STATUSES[int(status)],
        exit_code=_number(exit_code),
        signal=_number(signal),
        error_code=None if error_code == _NONE else bytes.fromhex(error_code).decode(),
        stdout_id=_bytes(stdout_id),
        stderr_id=_bytes(stderr_id),
        first_at=min((int(time) for time in times if time != _NONE), default=None),
        host_ids=host_ids,
    )


def _number(text: str) -> int | None:
    return None if text == _NONE else int(text)


def _bytes(text: str) -> bytes | None:
    return None if text == _NONE else bytes.fromhex(text)
