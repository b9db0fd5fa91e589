"""The descendants of a command's main process: finds them, ends them, and proves that none is left.

The shim is a *child subreaper* (prctl(2)): whatever a descendant does (its own session, a double fork), it stays below
the shim. So ECHILD from waitpid proves that no descendant is alive.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.shim import records
from agent.shim.system import linux
from agent.shim.system.cgroup import Group, identity, own_group
from agent.shim.system.linux import Process

_HOLD_PASSES = 100
_SWEEP_SECONDS = 10.0
_CLEAN_LOOKS = 3


class ShimAlive(RuntimeError):
    """A sweep was requested while the command's shim still runs."""


def descendants(root: int, table: dict[int, Process]) -> list[Process]:
    """Return the living descendants of a process, nearest first."""
    children: dict[int, list[Process]] = {}
    for one in table.values():
        children.setdefault(one.parent, []).append(one)
    found: list[Process] = []
    level = [root]
    while level:
        below = [child for pid in level for child in children.get(pid, ())]
        found += below
        level = [child.pid for child in below]
    return [one for one in found if not one.dead]


class Tree:
    """The descendants of this process.

    Attributes:
        killed: (pid, starttime) of the killed processes that were not exiting by themselves.
        refused: The last signal that the kernel refused, or why the processes cannot be listed, as text.
    """

    def __init__(self, group: Group | None, main: int = 0) -> None:
        """Watch the descendants of this process.

        Args:
            group: Control group of the command, or None.
            main: Pid of the main process, which leads its own session. It can be signalled even when /proc cannot be
                read.
        """
        self.group = group
        self._main = main
        self.empty = False
        self.killed: set[tuple[int, int]] = set()
        self.refused = ""
        self._rounds = 0

    def living(self) -> list[Process]:
        """Return the living descendants.

        Raises:
            OSError: /proc cannot be read.
        """
        return descendants(os.getpid(), linux.processes())

    def seen(self) -> list[Process]:
        """Return the living descendants, or an empty list when /proc cannot be read."""
        return self._seen() or []

    def _seen(self) -> list[Process] | None:
        """Return the living descendants; None, with the reason in `refused`, when /proc cannot be read."""
        try:
            return self.living()
        except OSError as error:
            self.refused = f"the processes cannot be listed: {error.strerror}"
            return None

    def reap(self) -> Iterator[tuple[int, int]]:
        """Yield (pid, wait status) of every child that has ended. Sets `empty` if there is no child."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | linux.WAIT_ALL)
            except ChildProcessError:
                self.empty = True
                return
            self.empty = False
            if pid == 0:
                return
            if pid == self._main:
                self._main = 0
            yield pid, status

    def terminate(self) -> None:
        """Send SIGTERM to all, and SIGCONT so that stopped processes can react; repeat up to three times for new
        processes.
        """
        told: set[tuple[int, int]] = set()
        for _ in range(3):
            seen = self._seen()
            if seen is None:
                self._signal_main(signal.SIGTERM)
                self._signal_main(signal.SIGCONT)
                return
            new = [one for one in seen if (one.pid, one.starttime) not in told]
            if not new:
                return
            for one in new:
                told.add((one.pid, one.starttime))
                self._send(one, signal.SIGTERM)
                self._send(one, signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL once to all. The caller repeats this, reaping in between, until `empty`.

        From the third round on, all processes are stopped first. Stopped processes keep their pids, so that a process
        that forks faster than it is killed reaches its process limit instead of replacing the dead.
        """
        self._rounds += 1
        targets = self._stop_all() if self._rounds > 2 else self._seen()
        if targets is None:
            targets = []
            self._signal_main(signal.SIGKILL)
        if self.group is not None:
            try:
                self.group.kill()
            except OSError as error:
                self.refused = str(error)
        for one in targets:
            if not one.ending:
                self.killed.add((one.pid, one.starttime))
            self._send(one, signal.SIGKILL)

    def _signal_main(self, number: signal.Signals) -> None:
        """Signal the main process and its process group. Its pid cannot be reused until it is reaped."""
        if self._main:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._main, number)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._main, number)

    def _stop_all(self) -> list[Process] | None:
        held: dict[tuple[int, int], Process] = {}
        for _ in range(_HOLD_PASSES):
            seen = self._seen()
            if seen is None:
                return None
            new = [one for one in seen if (one.pid, one.starttime) not in held]
            if not new:
                break
            for one in new:
                held[one.pid, one.starttime] = one
                self._send(one, signal.SIGSTOP)
        return list(held.values())

    def _send(self, target: Process, number: signal.Signals) -> None:
        try:
            linux.send_signal(target, number)
        except PermissionError:
            self.refused = f"{number.name} to process {target.pid}, which runs as another user: not permitted"
        except OSError as error:
            self.refused = f"{number.name} to process {target.pid}: {error.strerror}"


def sweep(directory: Path) -> int:
    """End what is left of a command whose shim was killed; return the number of processes. Blocks for up to about 10 s.

    The processes are found by their control group and by CLARION_EXECUTION and CLARION_RUN in their environment, with
    all their descendants. Without a control group, a process that has emptied its environment and lost its parent is
    not found. A command with `detach` is left running.

    Another process does it if `use_sweeper` says so.

    Raises:
        ShimAlive: The shim still runs.
        OSError: The shim's state cannot be read; the caller tries again.
        RecordError: A record is invalid.
        TimeoutError: Something could not be ended or examined, after the shim was found dead.
    """
    return _Sweeper.other(directory) if _Sweeper.other is not None else sweep_here(directory)


class _Sweeper:
    other: Callable[[Path], int] | None = None


def use_sweeper(other: Callable[[Path], int] | None) -> None:
    """Let another process sweep: this one may not end or see the processes of its commands. None undoes it."""
    _Sweeper.other = other


def sweep_here(directory: Path) -> int:
    """Do the work of `sweep` in this process."""
    claim = records.read_claim(directory)
    if claim is None or claim.boot_id != linux.boot_id():
        return 0
    if linux.alive(claim.pid, claim.starttime):
        raise ShimAlive(f"{directory}: process {claim.pid} still supervises it")
    if records.read_spec(directory).detach:
        return 0
    ended: set[tuple[int, int]] = set()
    deadline = time.monotonic() + _SWEEP_SECONDS
    clean_looks = 0
    while True:
        problem, populated = "", False
        left: list[Process] = []
        hidden = 0
        group = None
        try:
            group = _group_of(directory)
            left, hidden = _belonging(directory, group, claim.starttime)
            if group is not None:
                group.kill()
            for one in left:
                ended.add((one.pid, one.starttime))
                linux.send_signal(one, signal.SIGKILL)
            populated = group is not None and group.populated()
        except OSError as error:
            problem = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        # A process during exec shows no environment, so one pass proves nothing.
        clean_looks = 0 if problem or left or populated else clean_looks + 1
        if clean_looks == _CLEAN_LOOKS:
            break
        if time.monotonic() > deadline:
            if problem:
                raise TimeoutError(
                    f"{directory}: {len(ended)} processes were ended, and it is unknown whether others are left: "
                    f"{problem}"
                )
            raise TimeoutError(f"{directory}: still alive after SIGKILL: {sorted(one.pid for one in left)}")
        time.sleep(0.005)
    if hidden and group is None:
        raise TimeoutError(
            f"{directory}: {len(ended)} processes were ended; {hidden} of other users cannot be examined "
            f"(CAP_SYS_PTRACE is missing)"
        )
    if group is not None:
        # if the removal fails, an empty directory stays, which changes no result
        with contextlib.suppress(OSError):
            group.remove()
    return len(ended)


def _group_of(directory: Path) -> Group | None:
    """Return the command's control group, or None.

    Raises:
        OSError: The state cannot be read.
    """
    started = records.read_started(directory)
    if started is not None:
        path = Path(started.cgroup) if started.cgroup is not None else None
    else:
        # The shim was killed after it created the group and before it recorded it.
        parent = own_group()
        path = Group.place(parent, directory) if parent is not None else None
    if path is None:
        return None
    try:
        return Group(path) if stat.S_ISDIR(path.stat().st_mode) else None
    except FileNotFoundError:
        return None


def _belonging(directory: Path, group: Group | None, since: int) -> tuple[list[Process], int]:
    """Return the command's processes, and how many others may belong to it but cannot be examined.

    Args:
        since: Start time of the shim; older processes do not belong to the command.

    Raises:
        OSError: The state cannot be read.
    """
    marks = {f"{records.MARKER}={directory.name}".encode(), f"{records.RUN}={identity(directory)}".encode()}
    table = linux.processes()
    members = set(group.members()) if group is not None else set()
    found: dict[int, Process] = {}
    hidden = 0
    for pid, one in table.items():
        if one.dead or one.starttime < since:
            continue
        environment = _environment(pid)
        hidden += environment is None
        if pid in members or (environment is not None and marks <= environment):
            found[pid] = one
            found |= {below.pid: below for below in descendants(pid, table)}
    return list(found.values()), hidden


def _environment(pid: int) -> set[bytes] | None:
    """Return the environment of a process; empty if it is gone.

    It is also empty for another user's process under an agent without root, which can neither read nor have started it.
    None means that root may not read it either, as in a container without CAP_SYS_PTRACE.

    Raises:
        OSError: The state cannot be read for another reason.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return set(file.read().split(b"\0"))
    except (FileNotFoundError, ProcessLookupError):
        return set()
    except PermissionError:
        return None if os.geteuid() == 0 else set()
