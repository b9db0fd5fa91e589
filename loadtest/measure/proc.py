"""Facts from the kernel about a process and this machine (proc(5))."""

from __future__ import annotations

import os
import platform
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp (proc_net_tcp.txt of the kernel)."""


def cpu_seconds(pid: int) -> float | None:
    """Return user and system time of all threads, including ended ones; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS


def stolen() -> float:
    """Return the CPU seconds of all cores that the hypervisor gave to other machines while they were needed here."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()
    return int(fields[8]) / TICKS


def rss_kb(pid: int) -> float | None:
    """Return the resident memory in KiB; None if there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1024
    except (OSError, IndexError):
        return None


def listens(port: int) -> bool:
    """Return True if a process on this machine listens on this TCP port. Nothing is sent to the port."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path) as table:
                next(table)
                for line in table:
                    _, local, _, state, *_ = line.split()
                    if state != LISTEN:
                        break  # listeners are first in the table; the rest may be long
                    if int(local.rpartition(":")[2], 16) == port:
                        return True
        except OSError:
            continue  # a machine without IPv6
    return False


def machine() -> dict[str, object]:
    """Describe the machine of the measurement. `load_average` is the one-minute average at the start."""
    return {
        "cpu": _after("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int((_after("/proc/meminfo", "MemTotal") or "0").split()[0]) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _after(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
