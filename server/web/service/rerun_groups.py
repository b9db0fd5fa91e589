"""The groups of a task's hosts that a rerun can select by a word."""

from __future__ import annotations

from collections.abc import Callable

from proto.reasons import reason
from server.core.model import Execution
from server.core.states import ExecutionStatus

OFFLINE = ("offline", "never_seen", "expired", "queue_full")
Wanted = Callable[[Execution], bool]


def not_started(row: Execution) -> bool:
    return (
        row.status in (ExecutionStatus.DISPATCH_FAILED, ExecutionStatus.CANCELED)
        and row.error_code is not None
        and not reason(row.error_code).started
    )


def offline(row: Execution) -> bool:
    return row.status is ExecutionStatus.LOST or row.error_code in OFFLINE


GROUPS: dict[str, Wanted] = {
    "all": lambda row: True,
    "unsuccessful": lambda row: row.status is not ExecutionStatus.COMPLETED,
    "not_started": not_started,
    "offline": offline,
    "unreachable": offline,
}
"""Word of `only` → which executions it selects. `unreachable` is the earlier name of `offline`."""
WORDS = (*GROUPS, *(status.label for status in ExecutionStatus if status.final))
