"""Exit codes for finished tasks. The code is 0 only if every host completed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.cli.interrupt import INTERRUPTED, TERMINATED
from server.cli.render.outcome import word
from server.errors import CANCELED, FAILED, SOFTWARE, TIMEOUT, UNREACHABLE, UNTOLD

if TYPE_CHECKING:
    from server.cli.client.api import Api

FINAL = ("completed", "failed", "canceled", "timeout")
ENDED = ("completed", "failed", "timeout", "canceled", "dispatch_failed", "lost")
"""Final states of a task, and of an execution, in the order in which counts are shown."""


def exit_code(task: dict[str, Any]) -> int:
    """Return the exit code of a final task, as the API returns it."""
    status, counts = task["status"], task["counts"]
    if status == "canceled":
        return CANCELED
    if status == "timeout":
        return TIMEOUT
    of = {name: int(counts.get(name, 0)) for name in ENDED}
    if status == "completed":
        return 0 if of["completed"] == int(task["total_hosts"]) > 0 else SOFTWARE
    if status != "failed":
        return SOFTWARE
    if of["failed"]:
        return FAILED
    if of["dispatch_failed"] or of["lost"]:
        return UNREACHABLE
    if of["timeout"] and not of["canceled"]:
        return TIMEOUT
    return FAILED


def own_exit_code(api: Api, task_id: str, code: int) -> int:
    """Return the exit code of the command on the only host of a task.

    `code` is the exit code of the task; it is returned if the CLI did not wait for the end.
    """
    if code in (INTERRUPTED, TERMINATED, UNTOLD):
        return code
    row = api.get(f"tasks/{task_id}/hosts", {"limit": 1})["items"][0]
    if row.get("signal") is not None:
        return 128 + int(row["signal"])
    return 255 if row.get("exit_code") is None else int(row["exit_code"])


def ended(counted: dict[str, Any]) -> int:
    """Return the number of executions that have ended, of a task or its progress."""
    return sum(int(counted["counts"].get(name, 0)) for name in ENDED)


def summary(task: dict[str, Any]) -> str:
    """Return text such as `3 hosts: 2 completed, 1 failed`."""
    counts = task["counts"]
    parts = [
        f"{counts[name]:,} {word(name)}" for name in (*ENDED, "running", "dispatched", "pending") if counts.get(name)
    ]
    total = int(task["total_hosts"])
    return f"{total:,} host{'' if total == 1 else 's'}: {', '.join(parts) or 'none'}"
