"""One control group (version 2) per command, where the host allows it: no fork can escape a kill of the whole group.

Source: Documentation/admin-guide/cgroup-v2.rst of Linux ("cgroup.kill", "cgroup.events", "No Internal Process
Constraint"). No controller is enabled, so a group may be created below one that contains processes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import time
from pathlib import Path

_REMOVE_SECONDS = 2.0


def own_group() -> Path | None:
    """Return the directory of this process's version 2 group, or None if no groups can be created below it.

    Also works where version 2 is mounted next to version 1 (hybrid, /sys/fs/cgroup/unified).

    Raises:
        OSError: /proc cannot be read.
    """
    mount = _mount()
    if mount is None:
        return None
    root, point = mount
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
    if own is None or not Path(own).is_relative_to(root):
        return None
    path = point / Path(own).relative_to(root)
    probe = path / f"clarion-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return None
    return path


def _mount() -> tuple[str, Path] | None:
    """Return the root of the mount in the hierarchy, and the mount point. Fields of /proc/self/mountinfo: proc(5)."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                fields = before.split()
                return fields[3], Path(os.fsdecode(os.fsencode(fields[4]).decode("unicode_escape").encode("latin-1")))
    return None


def identity(directory: Path) -> str:
    """Return 16 hex digits of the directory's real path, to distinguish executions of several agents on one machine."""
    return hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:16]


def _unless_gone(error: OSError) -> None:
    """Error handler for os.walk, which ignores unreadable directories by default."""
    if not isinstance(error, FileNotFoundError):
        raise error


class Group:
    """A control group of one command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, parent: Path, directory: Path) -> Group:
        """Create the group.

        Raises:
            OSError: The group cannot be created.
        """
        path = cls.place(parent, directory)
        path.mkdir(exist_ok=True)
        return cls(path)

    @staticmethod
    def place(parent: Path, directory: Path) -> Path:
        """Return the path of a command's group."""
        return parent / f"clarion-{directory.name}-{identity(directory)}"

    def add(self, pid: int) -> None:
        """Move a process into the group.

        Raises:
            OSError: The kernel refuses it.
        """
        (self.path / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """Send SIGKILL to every process in the group and below; one by one on kernels before 5.14, which lack
        cgroup.kill.

        Raises:
            OSError: The group cannot be read or killed.
        """
        try:
            (self.path / "cgroup.kill").write_text("1")
        except FileNotFoundError:
            for pid in self.members():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def members(self) -> list[int]:
        """Return the pids of all processes in the group and below.

        Raises:
            OSError: A file cannot be read. This does not mean that the group is empty.
        """
        found: list[int] = []
        for folder, _, _ in os.walk(self.path, onerror=_unless_gone):
            try:
                found += map(int, Path(folder, "cgroup.procs").read_text().split())
            except FileNotFoundError:
                continue
        return found

    def populated(self) -> bool:
        """Return True if the group contains a process.

        Raises:
            OSError: The state cannot be read.
        """
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def remove(self) -> bool:
        """Remove the group; False if it still contains a process after a short wait.

        Raises:
            OSError: The group cannot be removed for another reason.
        """
        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            try:
                for folder, _, _ in os.walk(self.path, topdown=False, onerror=_unless_gone):
                    os.rmdir(folder)
                return True
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
