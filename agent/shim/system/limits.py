"""The limits of resources that commands need: raised at the agent's start, given back to the commands, and named when
they are met."""

from __future__ import annotations

import errno
import os
import resource
from dataclasses import dataclass

FILES_BASE, FILES_PER_SLOT = 192, 4
"""Descriptors: what the agent itself needs at its busiest, and for each command (the handle of its shim, its files
while they are read)."""
FILES_OF_A_SHIM = 64
PROCESSES_BASE, PROCESSES_PER_SLOT = 64, 4
"""Processes and threads of the agent's user: its threads and the fork server, and for each command the shim, its
program and a few more."""

Limit = tuple[int, int]
"""(soft, hard) as in getrlimit(2)."""


@dataclass(frozen=True, slots=True)
class Original:
    """The limits that this agent was started with: what its commands get."""

    files: Limit
    processes: Limit

    @classmethod
    def of_this_process(cls) -> Original:
        return cls(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_NPROC))

    def text(self) -> str:
        """For a command line; `parse` reads it."""
        return ",".join(str(number) for pair in (self.files, self.processes) for number in pair)

    @classmethod
    def parse(cls, text: str) -> Original:
        """Raises ValueError."""
        a, b, c, d = map(int, text.split(","))
        return cls((a, b), (c, d))

    def restore(self) -> None:
        """In a process that is about to become a command. The hard limits have never been changed. Raises OSError,
        ValueError."""
        for which, (soft, hard) in ((resource.RLIMIT_NOFILE, self.files), (resource.RLIMIT_NPROC, self.processes)):
            if resource.getrlimit(which)[0] != soft:
                resource.setrlimit(which, (soft, hard))


@dataclass(frozen=True, slots=True)
class Short:
    """A limit that is below what the slots need, also after it was raised as far as it may be."""

    name: str
    limit: int
    needed: int
    remedy: str


def needed_files(slots: int) -> int:
    return max(FILES_BASE + FILES_PER_SLOT * slots, FILES_OF_A_SHIM)


def raise_for(slots: int) -> list[Short]:
    """Raise the soft limits of this process to what so many commands at once need, up to the hard limits. What is still
    too low."""
    short = []
    for which, name, needed, remedy in (
        (
            resource.RLIMIT_NOFILE,
            "open files (RLIMIT_NOFILE)",
            needed_files(slots),
            "raise LimitNOFILE= of the agent's unit, or 'ulimit -Hn', or lower slots",
        ),
        (
            resource.RLIMIT_NPROC,
            "processes of the agent's user (RLIMIT_NPROC)",
            PROCESSES_BASE + PROCESSES_PER_SLOT * slots,
            "raise LimitNPROC= of the agent's unit, or 'ulimit -Hu', or lower slots",
        ),
    ):
        soft, hard = resource.getrlimit(which)
        if _below(soft, needed):
            wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
            resource.setrlimit(which, (wanted, hard))
            soft = wanted
        if _below(soft, needed) and not (
            which == resource.RLIMIT_NPROC and os.getuid() == 0
        ):  # root is exempt (getrlimit(2))
            short.append(Short(name, soft, needed, remedy))
    return short


def _below(limit: int, needed: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < needed


def explain(error: OSError) -> str:
    """What went wrong, with the name of the limit that was met and how to raise it."""
    text = error.strerror or str(error)
    if error.filename:
        text = f"{text}: {error.filename}"
    remedy = _remedy(error.errno)
    return f"{text}; {remedy}" if remedy else text


def _remedy(number: int | None) -> str:
    if number == errno.EMFILE:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"this process may have {soft} open files (RLIMIT_NOFILE): raise LimitNOFILE= of the agent's unit or "
            f"'ulimit -n'"
        )
    if number == errno.ENFILE:
        return "the machine may have no more open files: raise the sysctl fs.file-max"
    if number == errno.EAGAIN:
        soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        most = "any number of" if soft == resource.RLIM_INFINITY else str(soft)
        return (
            f"its user may have {most} processes (RLIMIT_NPROC): raise LimitNPROC= or TasksMax= of the agent's "
            f"unit, 'ulimit -u', or the sysctl kernel.pid_max"
        )
    if number == errno.ENOMEM:
        return (
            "the machine or the agent's control group is out of memory: raise MemoryMax= of the agent's unit or "
            "lower slots"
        )
    return ""
