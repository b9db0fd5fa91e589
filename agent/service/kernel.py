"""Checks at the agent's start that the kernel offers what the agent needs, so that no command finds out.

A container's seccomp filter can refuse a call like an old kernel.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import KernelUnsuitable
from agent.log import Log
from agent.shim.system import linux


@dataclass(frozen=True, slots=True)
class Need:
    """Something that the agent cannot work without.

    Attributes:
        name: The call or the file.
        since: The first Linux version that has it.
        purpose: What the agent uses it for.
        attempt: Uses it without an effect on this process.
    """

    name: str
    since: str
    purpose: str
    attempt: Callable[[], object]


def _seqpacket() -> None:
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
        end.close()


def _timer() -> None:
    os.close(linux.BootTimer().fd)


def _own_line() -> None:
    if linux.process(os.getpid()) is None:
        raise OSError(errno.ENOENT, "it does not show this process")


NEEDS = (
    Need("prctl PR_SET_CHILD_SUBREAPER", "3.4", "to find every process of a command", linux.is_subreaper),
    Need("timerfd_create with CLOCK_BOOTTIME", "3.15", "to end commands in time", _timer),
    Need("socketpair of AF_UNIX, SOCK_SEQPACKET", "2.6.4", "to start commands", _seqpacket),
    Need("/proc/<pid>/stat", "2.6", "to tell processes apart", _own_line),
)


REMEDY = "use a newer kernel; in a container, allow these calls in its seccomp profile and mount /proc"
HANDLES = "pidfd_open, pidfd_send_signal"
HANDLES_REMEDY = "use Linux 5.3 or later; in a container, allow these calls in its seccomp profile"
WITHOUT_HANDLES = "the agent looks at its commands every 0.1 s instead of being told of their end"


def missing() -> list[str]:
    """Try what the agent needs, and return a description of each need that the kernel does not meet."""
    found = []
    for need in NEEDS:
        try:
            need.attempt()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                continue  # this says nothing about the kernel; limits are checked elsewhere
            found.append(f"{need.name} (needed {need.purpose}, since Linux {need.since}): {error.strerror}")
    return found


def check(log: Log) -> None:
    """Try what the agent needs, and choose the fallback for what it can do without.

    Raises:
        KernelUnsuitable: Something necessary is missing. The message names all of it.
    """
    needs = missing()
    if needs:
        raise KernelUnsuitable(
            f"Linux {os.uname().release} does not offer what the agent needs: {'; '.join(needs)}", REMEDY
        )
    why = linux.probe_process_handles()
    if why:
        log.warning(
            "process_handles_missing",
            calls=HANDLES,
            why=why,
            kernel=os.uname().release,
            consequence=WITHOUT_HANDLES,
            remedy=HANDLES_REMEDY,
        )
