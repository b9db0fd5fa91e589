"""Resource limits: raises those of the agent, restores those of commands, and explains which limit an error met."""

from __future__ import annotations

import errno
import os
import resource
from dataclasses import dataclass

FILES_BASE, FILES_PER_SLOT = 192, 4
"""Descriptors that the agent needs itself, and per command (the handle of its shim, its files while they are read)."""
FILES_OF_A_SHIM = 64
PROCESSES_BASE, PROCESSES_PER_SLOT = 64, 4
"""Processes and threads that the agent needs itself (threads, fork server), and per command (shim, program, a few
more).
"""

Limit = tuple[int, int]
"""(soft, hard) as in getrlimit(2)."""


@dataclass(frozen=True, slots=True)
class OriginalLimits:
    """The limits with which the agent was started. Its commands get the same limits."""

    files: Limit
    processes: Limit

    @classmethod
    def of_this_process(cls) -> OriginalLimits:
        """Return the present limits of this process."""
        return cls(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_NPROC))

    def text(self) -> str:
        """Format the limits for a command line; `parse` reads them."""
        return ",".join(str(number) for pair in (self.files, self.processes) for number in pair)

    @classmethod
    def parse(cls, text: str) -> OriginalLimits:
        """Read the result of `text`.

        Raises:
            ValueError: The text has another form.
        """
        a, b, c, d = map(int, text.split(","))
        return cls((a, b), (c, d))

    def restore(self) -> None:
        """Set the limits in a process that is about to become a command. The hard limits were never changed.

        Raises:
            OSError: The system refuses a limit.
            ValueError: A limit is invalid.
        """
        for which, (soft, hard) in ((resource.RLIMIT_NOFILE, self.files), (resource.RLIMIT_NPROC, self.processes)):
            if resource.getrlimit(which)[0] != soft:
                resource.setrlimit(which, (soft, hard))


@dataclass(frozen=True, slots=True)
class LimitShortfall:
    """A limit that is too low for the slots, even after it was raised as far as possible."""

    name: str
    limit: int
    needed: int
    remedy: str


def needed_files(slots: int) -> int:
    return max(FILES_BASE + FILES_PER_SLOT * slots, FILES_OF_A_SHIM)


def raise_for(slots: int) -> list[LimitShortfall]:
    """Raise the soft limits for this many concurrent commands, up to the hard limits; return those that are still too
    low.
    """
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
            short.append(LimitShortfall(name, soft, needed, remedy))
    return short


def _below(limit: int, needed: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < needed


def explain(error: OSError) -> str:
    """Return the text of an error, with the name of the limit that was met and how to raise it."""
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
