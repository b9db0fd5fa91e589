"""How the fork server is started: by an interpreter, or by the agent's own file if that is frozen."""

from __future__ import annotations

import sys
from collections.abc import Sequence

FORK_SERVER = "--clarion-fork-server"
"""First argument of a frozen agent that makes it the fork server."""
LIMITS, NO_CGROUP = "--limits=", "--no-cgroup"


def program() -> list[str]:
    """Return the command line of the fork server, without its arguments.

    PyInstaller sets `sys.frozen`, Nuitka `__compiled__` in each module. With Nuitka `sys.executable` names a file that
    does not exist; the link of the kernel names the program itself.
    """
    if "__compiled__" in globals():
        return ["/proc/self/exe", FORK_SERVER]
    if getattr(sys, "frozen", False):
        return [sys.executable, FORK_SERVER]
    return [sys.executable, "-P", "-X", "utf8", "-m", "agent.shim"]


def run(arguments: Sequence[str]) -> None:
    """Run the fork server with `SOCKET_FD [--no-cgroup] [--limits=LIMITS]` until the socket is closed."""
    from agent.shim.forkserver import main
    from agent.shim.system.limits import OriginalLimits

    given = [word.removeprefix(LIMITS) for word in arguments[1:] if word.startswith(LIMITS)]
    main(
        int(arguments[0]),
        use_cgroup=NO_CGROUP not in arguments[1:],
        original=OriginalLimits.parse(given[0]) if given else None,
    )
