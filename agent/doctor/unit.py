"""Checks of the systemd unit that runs the agent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agent.settings import Settings
from agent.storage.lock import held, holder
from proto.common.checkup import Finding

DEFAULT_UNIT = "clarion-agent.service"
SHIMS_UNIT = "clarion-shims.service"
"""In a split installation this unit holds the commands; only its KillMode counts."""
SECONDS = 10.0


def service(settings: Settings) -> Iterator[Finding]:
    """Check that a restart of the unit does not end running commands."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        yield Finding("unit", "skipped", "systemd does not run this machine")
        return
    agent = unit_of(settings)
    found = _properties(systemctl, agent)
    if found.get("LoadState") != "loaded":
        yield Finding(
            "unit",
            "warning",
            f"systemd has no unit {agent}, so the agent does not start with the machine",
            "install the package clarion-agent, or write a unit with KillMode=process and Delegate=yes",
        )
        return
    shims = _properties(systemctl, SHIMS_UNIT)
    name, commands = (SHIMS_UNIT, shims) if shims.get("LoadState") == "loaded" else (agent, found)
    yield from judge(name, commands)
    if found.get("UnitFileState") == "disabled":
        yield Finding("unit.enabled", "warning", f"{agent} is not enabled", f"systemctl enable {agent}")


def judge(name: str, properties: dict[str, str]) -> Iterator[Finding]:
    """Judge the unit that holds the commands."""
    mode = properties.get("KillMode", "")
    if mode != "process":
        yield Finding(
            "unit.kill_mode",
            "error",
            f"{name} has KillMode={mode or 'control-group'}: a restart of the unit ends running commands",
            f"set KillMode=process with 'systemctl edit {name}'",
        )
    if properties.get("Delegate") != "yes":
        yield Finding(
            "unit.delegate",
            "warning",
            f"{name} has Delegate=no: commands may get no control group of their own",
            f"set Delegate=yes with 'systemctl edit {name}'",
        )
    if mode == "process" and properties.get("Delegate") == "yes":
        yield Finding("unit", "ok", f"{name} leaves commands running when it restarts")


def unit_of(settings: Settings) -> str:
    """Return the unit of the running agent, or the default name. Raises OSError."""
    pid = holder(settings.state) if held(settings.state) else None
    if pid is None:
        return DEFAULT_UNIT
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "surrogateescape")
    except OSError:
        return DEFAULT_UNIT
    return unit_in(groups) or DEFAULT_UNIT


def unit_in(groups: str) -> str | None:
    """Return the innermost unit in the text of /proc/PID/cgroup."""
    for line in groups.splitlines():
        for part in reversed(line.rpartition(":")[2].split("/")):
            if part.endswith(".service"):
                return part
    return None


def _properties(systemctl: str, unit: str) -> dict[str, str]:
    done = subprocess.run(
        [systemctl, "show", unit, "--property=LoadState,KillMode,Delegate,UnitFileState"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
