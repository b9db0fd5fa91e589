"""What a shim does in its execution's directory and around it, so that trouble there is noted and stops no command."""

from __future__ import annotations

import contextlib
from pathlib import Path

from agent.shim import records, script
from agent.shim.records import KillReason
from agent.shim.system import limits, linux
from agent.shim.system.cgroup import Group

LOOK_AGAIN_NS = 200_000_000
"""Until a request to stop that could not be read is read again."""


def log(directory: Path, text: str) -> None:
    """For people, in shim.log. On a full disk the text is lost, which changes no result."""
    with contextlib.suppress(OSError), open(directory / records.LOG, "a", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def make_group(parent: Path | None, directory: Path) -> Group | None:
    """The command's control group below `parent`; None: it goes on without."""
    if parent is None:
        return None
    try:
        return Group.make(parent, directory)
    except OSError as error:
        log(directory, f"goes on without a control group: {error}")
        return None


def add_to_group(group: Group, pid: int, directory: Path) -> bool:
    """False: it goes on without, and the group is gone."""
    try:
        group.add(pid)
    except OSError as error:
        log(directory, f"goes on without a control group: {error}")
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
        log(directory, f"{group.path} is left behind: {left}")


def remove_script(directory: Path) -> None:
    try:
        script.remove(directory)
    except OSError as error:
        log(directory, f"the script's place stays until the agent removes it: {error}")


class StopRequests:
    """What the agent asks for in stop.json. SIGTERM without that file (a service manager's, say) ends nothing.

    look_at: when to look again, boot-time ns; None: at the next signal.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._noted = True  # a request may have been there before its signal had a handler
        self.look_at: int | None = None

    def note(self, *_: object) -> None:
        """A signal has come."""
        self._noted = True

    def newly(self) -> KillReason | None:
        """The reason of a request that was not there at the last call."""
        if not self._noted:
            return None
        self._noted = False
        try:
            stop = records.read_stop(self._directory)
        except records.RecordError as error:
            log(self._directory, f"taken as a request to cancel: {error}")
            return "canceled"
        except OSError as error:
            # that it cannot be read says nothing about what it asks for
            self._noted = True
            if self.look_at is None:
                log(self._directory, f"a request to stop cannot be read yet: {limits.explain(error)}")
            self.look_at = linux.boottime_ns() + LOOK_AGAIN_NS
            return None
        self.look_at = None
        return stop.reason if stop is not None else None
