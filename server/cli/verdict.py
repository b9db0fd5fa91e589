"""What a finished task means for the exit code (section 2 row 38 of the capabilities: never 0 unless every host completed)."""

from __future__ import annotations

from typing import Any

from server.errors import CANCELED, FAILED, SOFTWARE, TIMEOUT, UNREACHABLE

FINAL = ("completed", "failed", "canceled", "timeout")
ENDED = ("completed", "failed", "timeout", "canceled", "dispatch_failed", "lost")
"""Final states of a task, and of an execution, in the order in which counts are shown."""


def exit_code(task: dict[str, Any]) -> int:
    """`task`: a final task as the API gives it: status, counts, total_hosts."""
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


def summary(task: dict[str, Any]) -> str:
    """`3 hosts: 2 completed, 1 failed`."""
    counts = task["counts"]
    parts = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in (*ENDED, "running", "dispatched", "pending") if counts.get(name)]
    total = int(task["total_hosts"])
    return f"{total:,} host{'' if total == 1 else 's'}: {', '.join(parts) or 'none'}"
