"""The task that this call of the CLI has started or waits for, so that every final message can name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StartedTask:
    """The task of this call.

    Attributes:
        task_id: The task that this call waits for, or None.
        ours: Whether this call has started the task, so that a repeated call would run it a second time.
        key: Idempotency key of a start request that the server has not answered.
    """

    task_id: str | None = None
    ours: bool = False
    key: str | None = None


now = StartedTask()


def reset() -> None:
    """Forget the task."""
    now.task_id, now.ours, now.key = None, False, None


def task(task_id: str, *, ours: bool) -> None:
    """Record the task that this call waits for."""
    now.task_id, now.ours, now.key = task_id, ours or now.ours, None


def sent(key: str) -> None:
    """Record that a request to start a task was sent."""
    now.key = key


def refused() -> None:
    """Record that the server started nothing."""
    now.key = None


def remark() -> str:
    """Return the remark about the task for a final message; empty if there is no task."""
    if now.key is not None:
        return (
            f"The task may have been started: see 'clarion tasks list', or repeat the call with --idempotency-key "
            f"{now.key}, which starts it once only"
        )
    if now.task_id is None:
        return ""
    begun = "was started and is not affected by this" if now.ours else "is not affected by this"
    return f"task {now.task_id} {begun}: see 'clarion attach {now.task_id}'"


def may_have_run() -> bool:
    """Return whether a repeated call could run a command a second time."""
    return now.ours or now.key is not None
