"""Entry point of the fork server: `python -m agent.shim SOCKET_FD [--no-cgroup] [--limits=LIMITS]`.

`agent/shim/client.py` starts it.
"""

from __future__ import annotations

import sys

from agent.shim.forkserver import main
from agent.shim.system.limits import OriginalLimits

LIMITS = "--limits="

if __name__ == "__main__":
    given = [word.removeprefix(LIMITS) for word in sys.argv[2:] if word.startswith(LIMITS)]
    main(
        int(sys.argv[1]),
        use_cgroup="--no-cgroup" not in sys.argv[2:],
        original=OriginalLimits.parse(given[0]) if given else None,
    )
