"""One control group (version 2) per command, where the host lets us make one: a kill that no fork can outrun.

Source: Documentation/admin-guide/cgroup-v2.rst of Linux ("cgroup.kill", "cgroup.events", "No Internal Process
Constraint"). No controller
is switched on, so a group may stand below one that holds processes.
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
    """The directory of this process's own version 2 group, below which groups may be made; None: there is none that we
    may write.

    Raises OSError when /proc cannot be read. Found also where version 2 is mounted beside version 1 (hybrid,
    /sys/fs/cgroup/unified).
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
    """(root of the mount inside the hierarchy, mount point). Fields of /proc/self/mountinfo: proc(5)."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                fields = before.split()
                return fields[3], Path(os.fsdecode(os.fsencode(fields[4]).decode("unicode_escape").encode("latin-1")))
    return None


def identity(directory: Path) -> str:
    """Tells executions of the same name apart when several agents share a machine: 16 hex digits of the directory's
    real path."""
    return hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:16]


def _unless_gone(error: OSError) -> None:
    """For os.walk, which passes over what it cannot read."""
    if not isinstance(error, FileNotFoundError):
        raise error


class Group:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, parent: Path, directory: Path) -> Group:
        """Raises OSError."""
        path = cls.place(parent, directory)
        path.mkdir(exist_ok=True)
        return cls(path)

    @staticmethod
    def place(parent: Path, directory: Path) -> Path:
        return parent / f"clarion-{directory.name}-{identity(directory)}"

    def add(self, pid: int) -> None:
        """Raises OSError when the kernel refuses it."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """SIGKILL to every process in it and below. Kernels before 5.14 lack cgroup.kill: there, one by one. Raises
        OSError."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except FileNotFoundError:
            for pid in self.members():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def members(self) -> list[int]:
        """Raises OSError when a folder or file of it cannot be read: that does not mean that it is empty."""
        found: list[int] = []
        for folder, _, _ in os.walk(self.path, onerror=_unless_gone):
            try:
                found += map(int, Path(folder, "cgroup.procs").read_text().split())
            except FileNotFoundError:
                continue
        return found

    def populated(self) -> bool:
        """Raises OSError when it cannot be told."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def remove(self) -> bool:
        """False: somebody is still in it after a short wait, so it stays. Raises OSError for any other reason."""
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
