"""`python -m agent.shim SOCKET_FD [--no-cgroup] [--limits=LIMITS]`: the fork server, started by
agent/shim/client.py."""

from __future__ import annotations

import sys

from agent.shim.forkserver import main
from agent.shim.system.limits import Original

LIMITS = "--limits="

if __name__ == "__main__":
    given = [word.removeprefix(LIMITS) for word in sys.argv[2:] if word.startswith(LIMITS)]
    main(
        int(sys.argv[1]),
        use_cgroup="--no-cgroup" not in sys.argv[2:],
        original=Original.parse(given[0]) if given else None,
    )
