"""Resets what a command must not inherit from the agent's process. docs/guide/agents.md has the whole table.

The rule: limits that an operator has set for the agent and everything it starts stay in effect (resource limits at the
agent's start, control group, CPU affinity, namespaces, capabilities, no_new_privs, seccomp). Settings that tune the
agent's own process do not reach a command (OOM score, nice, I/O priority, scheduling policy, timer slack, umask,
signals, environment, directory, open files).
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable

from agent.shim.system import linux

# ioprio_set(2): the system call numbers differ between architectures
_IOPRIO = {
    "x86_64": (251, 252),
    "aarch64": (30, 31),
    "riscv64": (30, 31),
    "loongarch64": (30, 31),
    "ppc64le": (273, 274),
    "s390x": (282, 283),
}
_IOPRIO_WHO_PROCESS = 1
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 50_000


def clean() -> int:
    """Reset this process, which is about to become a command.

    Call it before the change of user. Resource limits are restored last (`limits.Original`), because until then the
    process may need more descriptors than they allow.

    Returns:
        One bit for each property that the system did not allow to reset; 0 if all were reset.
    """
    failed = 0
    for bit, (_, action) in enumerate(_ACTIONS):
        try:
            action()
        except OSError:
            failed |= 1 << bit
    return failed


def names(bits: int) -> list[str]:
    """Return the names of the properties that could not be reset."""
    return [name for bit, (name, _) in enumerate(_ACTIONS) if bits & 1 << bit]


def _oom_score() -> None:
    """Reset the OOM score. Lowering it below a value set by root needs CAP_SYS_RESOURCE (proc(5))."""
    with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
        if file.read(16).strip() != b"0":
            file.seek(0)
            file.write(b"0")


def _scheduling() -> None:
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _nice() -> None:
    """Reset the nice value. Lowering it needs CAP_SYS_NICE or RLIMIT_NICE."""
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def _io_priority() -> None:
    numbers = _IOPRIO.get(platform.machine())
    if numbers is None:
        return
    set_number, get_number = numbers
    if linux.checked_syscall(get_number, _IOPRIO_WHO_PROCESS, 0) >> 13:
        linux.checked_syscall(set_number, _IOPRIO_WHO_PROCESS, 0, 0)


def _timer_slack() -> None:
    linux.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_TIMER_SLACK_NS))


_ACTIONS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("OOM score", _oom_score),
    ("scheduling policy", _scheduling),
    ("nice value", _nice),
    ("I/O priority", _io_priority),
    ("timer slack", _timer_slack),
)
