"""Checks of the shims service, where commands are started by a service of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent import __version__
from agent.service.shims_client import RESTART, ask, version_conflict
from agent.settings import Settings
from agent.shim.forkserver import GREET, Request
from proto.common.checkup import Finding

PACKAGED = Path("/run/clarion-agent/shims.sock")
"""The socket of the packaged units. The environment of the agent's unit names it, which the doctor does not see."""
SECONDS = 5.0


def service(settings: Settings, packaged: Path = PACKAGED) -> Iterator[Finding]:
    """Check that the service answers, and that its version fits."""
    path = settings.shims_socket or (packaged if packaged.exists() else None)
    if path is None:
        yield Finding("shims", "ok", "the agent starts commands itself")
        return
    try:
        found = ask(path, Request(1, GREET), SECONDS)
    except PermissionError as error:
        yield Finding("shims", "warning", f"{path}: {error.strerror}", "run the doctor as root or as the agent's user")
        return
    except OSError as error:
        yield Finding(
            "shims",
            "error",
            f"{path}: {error.strerror or error}, so no command can be started",
            "run 'systemctl restart clarion-shims.socket', and see 'journalctl -u clarion-shims.service'",
        )
        return
    conflict = version_conflict(found)
    if conflict:
        yield Finding("shims", "error", f"{path}: {conflict}", RESTART)
    elif found.version != __version__:
        yield Finding("shims", "warning", f"{path}: version {found.version} runs, {__version__} is installed", RESTART)
    else:
        yield Finding("shims", "ok", f"{path}: version {found.version} starts commands")
