"""Everything that descends from a command's main process: finding it, ending it, and the proof that nothing is left.

The shim is a *child subreaper* (prctl(2)): whatever a descendant does - a session of its own, a double fork - it stays below the shim. So
waitpid saying ECHILD proves that no descendant lives.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from agent.shim import linux, records
from agent.shim.cgroup import Group, identity, own_group
from agent.shim.linux import Process

_HOLD_PASSES = 100
_SWEEP_SECONDS = 10.0
_CLEAN_LOOKS = 3


class ShimAlive(RuntimeError):
    """A sweep was asked for while the command's shim still watches over it."""


def descendants(root: int, table: dict[int, Process]) -> list[Process]:
    """Those that live, nearest first."""
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
    """The descendants of this very process.

    killed: (pid, starttime) of those that were not ending by themselves. refused: the last signal that the kernel did not let us
    send, as text.
    """

    def __init__(self, group: Group | None) -> None:
        self.group = group
        self.empty = False
        self.killed: set[tuple[int, int]] = set()
        self.refused = ""
        self._rounds = 0

    def living(self) -> list[Process]:
        return descendants(os.getpid(), linux.processes())

    def reap(self) -> Iterator[tuple[int, int]]:
        """(pid, wait status) of every child that has ended. Sets `empty` when there is no child at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | linux.WAIT_ALL)
            except ChildProcessError:
                self.empty = True
                return
            self.empty = False
            if pid == 0:
                return
            yield pid, status

    def terminate(self) -> None:
        """SIGTERM to all, and SIGCONT so that a stopped one can obey. Again until nobody new has appeared, a few times at most."""
        told: set[tuple[int, int]] = set()
        for _ in range(3):
            new = [one for one in self.living() if (one.pid, one.starttime) not in told]
            if not new:
                return
            for one in new:
                told.add((one.pid, one.starttime))
                self._send(one, signal.SIGTERM)
                self._send(one, signal.SIGCONT)

    def kill(self) -> None:
        """One round of SIGKILL to all. Call it, reaping in between, until `empty`.

        From the third round on everybody is stopped first: stopped processes keep their pids, so that whatever forks faster than it
        is killed runs into its limit of processes instead of replacing the dead.
        """
        self._rounds += 1
        targets = self._hold() if self._rounds > 2 else self.living()
        if self.group is not None:
            try:
                self.group.kill()
            except OSError as error:
                self.refused = str(error)
        for one in targets:
            if not one.ending:
                self.killed.add((one.pid, one.starttime))
            self._send(one, signal.SIGKILL)

    def _hold(self) -> list[Process]:
        held: dict[tuple[int, int], Process] = {}
        for _ in range(_HOLD_PASSES):
            new = [one for one in self.living() if (one.pid, one.starttime) not in held]
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


def sweep(directory: Path) -> int:
    """Ends what is left of a command whose shim was killed; how many processes that were. Blocks, at most about 10 s: call it in a thread.

    They are found by their control group and by the variables CLARION_EXECUTION and CLARION_RUN in their environment, with all their
    descendants. Without a control group, one that has emptied its environment and lost its parent is not found. A command with
    `detach` is left alone. Raises ShimAlive, RecordError, and TimeoutError when something could not be ended.
    """
    claim = records.read_claim(directory)
    if claim is None or claim.boot_id != linux.boot_id():
        return 0
    shim = linux.process(claim.pid)
    if shim is not None and shim.starttime == claim.starttime and not shim.dead:
        raise ShimAlive(f"{directory}: process {claim.pid} still watches over it")
    if records.read_spec(directory).detach:
        return 0
    group = _group_of(directory)
    ended: set[tuple[int, int]] = set()
    deadline = time.monotonic() + _SWEEP_SECONDS
    clean_looks = 0
    while True:
        left = _belonging(directory, group)
        if group is not None:
            group.kill()
        for one in left:
            ended.add((one.pid, one.starttime))
            linux.send_signal(one, signal.SIGKILL)
        # A process in the middle of an exec shows no environment, so one look proves nothing.
        clean_looks = 0 if left or (group is not None and group.populated()) else clean_looks + 1
        if clean_looks == _CLEAN_LOOKS:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"{directory}: still alive after SIGKILL: {sorted(one.pid for one in left)}")
        time.sleep(0.005)
    if group is not None:
        group.remove()
    return len(ended)


def _group_of(directory: Path) -> Group | None:
    started = records.read_started(directory)
    if started is not None:
        path = Path(started.cgroup) if started.cgroup is not None else None
    else:
        # Killed between making the group and saying so.
        parent = own_group()
        path = Group.place(parent, directory) if parent is not None else None
    return Group(path) if path is not None and path.is_dir() else None


def _belonging(directory: Path, group: Group | None) -> list[Process]:
    marks = {f"{records.MARKER}={directory.name}".encode(), f"{records.RUN}={identity(directory)}".encode()}
    table = linux.processes()
    members = set(group.members()) if group is not None else set()
    found: dict[int, Process] = {}
    for pid, one in table.items():
        if not one.dead and (pid in members or marks <= _environment(pid)):
            found[pid] = one
            found |= {below.pid: below for below in descendants(pid, table)}
    return list(found.values())


def _environment(pid: int) -> set[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return set(file.read().split(b"\0"))
    except OSError:
        # Gone meanwhile, or another user's, which an agent without root can neither read nor have started.
        return set()
