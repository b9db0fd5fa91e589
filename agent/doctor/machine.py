"""Checks of the kernel, control groups, limits and disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.service import kernel
from agent.settings import Settings
from agent.shim.system import cgroup, limits, linux
from proto.common.checkup import Finding

FREE_INODES = 1000
"""Free inodes that commands need for their directories."""


def kernel_calls() -> Iterator[Finding]:
    """Check what the agent checks at its start: the calls that it needs, and those that it can do without."""
    release = os.uname().release
    needs = kernel.missing()
    for need in needs:
        yield Finding("kernel", "error", f"Linux {release}: {need}", kernel.REMEDY)
    why = linux.probe_process_handles()
    if why:
        yield Finding(
            "kernel.process_handles",
            "warning",
            f"Linux {release}: {kernel.HANDLES}: {why}; {kernel.WITHOUT_HANDLES}",
            kernel.HANDLES_REMEDY,
        )
    if not needs and not why:
        yield Finding("kernel", "ok", f"Linux {release} has the calls that the agent needs")


def proc() -> Iterator[Finding]:
    """Check that /proc shows the boot id and other processes."""
    try:
        Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        Path("/proc/1/stat").read_bytes()
    except OSError as error:
        yield Finding(
            "proc",
            "error",
            f"{error.filename}: {error.strerror}",
            "mount /proc for the agent, without hidepid and without ProcSubset=pid or ProtectProc= in its unit",
        )
        return
    yield Finding("proc", "ok", "/proc shows the boot id and all processes")


def control_groups() -> Iterator[Finding]:
    """Check whether commands get a control group of their own."""
    if cgroup.own_group() is None:
        yield Finding(
            "cgroup",
            "warning",
            "no control group of version 2 can be created here, so a command may survive its stop",
            "mount cgroup v2, and set Delegate=yes in the agent's unit; run the doctor as the agent's user",
        )
        return
    yield Finding("cgroup", "ok", "each command can get a control group of its own")


def resources(settings: Settings) -> Iterator[Finding]:
    """Check the limits of open files and processes against `slots`."""
    short = limits.raise_for(settings.slots)
    for one in short:
        yield Finding(
            "ulimit", "error", f"{one.name}: {one.limit}, {settings.slots} slots need {one.needed}", one.remedy
        )
    if not short:
        yield Finding("ulimit", "ok", f"enough open files and processes for {settings.slots} slots")


def disk(settings: Settings) -> Iterator[Finding]:
    """Check the free space of the state directory."""
    try:
        space = os.statvfs(settings.state)
    except OSError as error:
        yield Finding(
            "disk", "error", f"{settings.state}: {error.strerror}", "run 'clarion-agent join' with the same --state"
        )
        return
    free, needed = space.f_bavail * space.f_frsize, settings.spool_bytes
    if free < needed:
        yield Finding(
            "disk",
            "warning",
            f"{settings.state}: {free >> 20} MiB free; outputs may need {needed >> 20} MiB (spool_bytes)",
            "free some disk space, or lower spool_bytes",
        )
    elif space.f_files and space.f_favail < FREE_INODES:
        yield Finding("disk", "warning", f"{settings.state}: {space.f_favail} free inodes", "delete files on this disk")
    else:
        yield Finding("disk", "ok", f"{settings.state}: {free >> 20} MiB free")


def state_directory(settings: Settings) -> Iterator[Finding]:
    """Check owner and mode of the state directory: it holds the private key."""
    try:
        status = settings.state.stat()
    except OSError as error:
        yield Finding(
            "state", "error", f"{settings.state}: {error.strerror}", "run 'clarion-agent join' with the same --state"
        )
        return
    if status.st_mode & 0o077:
        yield Finding(
            "state",
            "warning",
            f"{settings.state}: other users can read it (mode {status.st_mode & 0o7777:04o})",
            f"chmod 700 {settings.state}",
        )
    elif status.st_uid != os.geteuid():
        yield Finding(
            "state",
            "warning",
            f"{settings.state} belongs to user {status.st_uid}, and the doctor runs as {os.geteuid()}",
            "run the doctor as the agent's user",
        )
    else:
        yield Finding("state", "ok", f"{settings.state} is readable for its owner only")
