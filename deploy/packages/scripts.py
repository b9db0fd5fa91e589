"""Maintainer scripts: the common part and the part of a package, joined, with its units filled in."""

from __future__ import annotations

from pathlib import Path

from deploy.packages.layout import AGENT, AGENT_UNITS, HERE, SERVER, Program

SCRIPTS = ("preinstall", "postinstall", "preremove", "postremove")
SOURCES = {AGENT.package: "agent.sh", SERVER.package: "server.sh"}
UNITS = {
    # folder of deploy/systemd: units to enable, to restart at an upgrade, to stop before the removal
    "split": (
        "clarion-shims.socket clarion-agent.service",
        "clarion-shims.service clarion-agent.service",
        "clarion-agent.service clarion-shims.socket clarion-shims.service",
    ),
    "one-tree": ("clarion-agent.service", "clarion-agent.service", "clarion-agent.service"),
}


def script(program: Program, name: str, agent_units: str = AGENT_UNITS) -> str:
    """Return a maintainer script.

    Args:
        program: AGENT or SERVER.
        name: One of SCRIPTS.
        agent_units: Which units of the agent the package installs, a key of UNITS.
    """
    enabled, restarted, stopped = UNITS[agent_units]
    text = "".join((HERE / "scripts" / part).read_text() for part in ("common.sh", SOURCES[program.package]))
    values = {
        "PACKAGE": program.package,
        "SCRIPT": name,
        "UNITS": enabled,
        "RESTARTED": restarted,
        "STOPPED": stopped,
    }
    for word, value in values.items():
        text = text.replace(f"@{word}@", value)
    return text


def write(program: Program, into: Path) -> None:
    """Write the maintainer scripts of a package; programs without units have none."""
    if program.package not in SOURCES:
        return
    into.mkdir(parents=True, exist_ok=True)
    for name in SCRIPTS:
        path = into / name
        path.write_text(script(program, name))
        path.chmod(0o755)
