"""Tasks of a shim in and around its execution's directory. Errors here are logged and stop no command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from agent.shim import durable, records, script
from agent.shim.records import KillReason, Spec
from agent.shim.report import Ending
from agent.shim.system import limits, linux
from agent.shim.system.cgroup import Group

Allow = Callable[[Spec], str]
"""Returns why this host does not run the command; empty if it does."""
LOOK_AGAIN_NS = 200_000_000
"""Nanoseconds until an unreadable stop request is read again."""


def log(directory: Path, text: str) -> None:
    """Append a text to shim.log. On a full disk the text is lost, which changes no result."""
    with contextlib.suppress(OSError), open(directory / records.LOG, "a", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def read_order(directory: Path, allow: Allow | None, seconds: float) -> Spec | Ending:
    """Read what to run, or return how the execution ends without a start.

    Args:
        directory: The execution's directory.
        allow: Decides about what was read, so that no later change of the file matters; None if the agent has decided.
        seconds: Time for which an error of the system is retried.
    """
    try:
        spec = durable.retry_for(seconds, lambda: records.read_spec(directory))
    except records.RecordError as error:
        return Ending("failed", "invalid_spec", str(error), None, None)
    except OSError as error:
        return Ending("failed", "spawn_failed", f"spec: {limits.explain(error)}", None, None)
    refused = allow(spec) if allow is not None else ""
    return Ending("failed", "refused", refused, None, None) if refused else spec


def make_group(parent: Path | None, directory: Path) -> Group | None:
    """Create the command's control group below `parent`, or return None if that is impossible."""
    if parent is None:
        return None
    try:
        return Group.make(parent, directory)
    except OSError as error:
        log(directory, f"continues without a control group: {error}")
        return None


def add_to_group(group: Group, pid: int, directory: Path) -> bool:
    """Add a process to the group; False if that failed, after removing the group."""
    try:
        group.add(pid)
    except OSError as error:
        log(directory, f"continues without a control group: {error}")
        remove_group(group, directory)
        return False
    return True


def remove_group(group: Group | None, directory: Path) -> None:
    if group is None:
        return
    try:
        left = None if group.remove() else "still in use"
    except OSError as error:
        left = str(error)
    if left is not None:
        log(directory, f"{group.path} was not removed: {left}")


def remove_script(directory: Path) -> None:
    try:
        script.remove(directory)
    except OSError as error:
        log(directory, f"the script's directory stays until the agent removes it: {error}")


class StopRequests:
    """Reads the agent's requests in stop.json. SIGTERM without that file, from a service manager for example, is
    ignored.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending = True  # a request may have arrived before the signal had a handler
        self.retry_at_ns: int | None = None
        """Boot-time clock in ns at which the file is read again; None for the next signal."""

    def signaled(self, *_: object) -> None:
        """Signal handler: a request may have arrived."""
        self._pending = True

    def poll(self) -> KillReason | None:
        """Return the reason of a new request, or None."""
        if not self._pending:
            return None
        self._pending = False
        try:
            stop = records.read_stop(self._directory)
        except records.RecordError as error:
            log(self._directory, f"treated as a request to cancel: {error}")
            return "canceled"
        except OSError as error:
            # an unreadable file says nothing about the request
            self._pending = True
            if self.retry_at_ns is None:
                log(self._directory, f"a request to stop cannot be read yet: {limits.explain(error)}")
            self.retry_at_ns = linux.boottime_ns() + LOOK_AGAIN_NS
            return None
        self.retry_at_ns = None
        return stop.reason if stop is not None else None
