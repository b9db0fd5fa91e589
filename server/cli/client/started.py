"""What this call of the CLI has begun on the server, so that every way in which it ends can name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Begun:
    """task_id: the task that this call waits for, or None. ours: this call has started it, so that repeating the call
    would run it a second time.
    key: the idempotency key of a start that was sent and not answered."""

    task_id: str | None = None
    ours: bool = False
    key: str | None = None


now = Begun()


def reset() -> None:
    now.task_id, now.ours, now.key = None, False, None


def task(task_id: str, *, ours: bool) -> None:
    now.task_id, now.ours, now.key = task_id, ours or now.ours, None


def sent(key: str) -> None:
    """A request that starts a task is on its way."""
    now.key = key


def refused() -> None:
    """The server has answered that it started nothing."""
    now.key = None


def remark() -> str:
    """What a message that ends the call adds; empty where nothing was begun."""
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
    """Whether repeating this call could run a command a second time."""
    return now.ours or now.key is not None
