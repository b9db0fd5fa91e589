"""Entry point of the fork server: `python -m agent.shim SOCKET_FD [--no-cgroup] [--limits=LIMITS]`.

`agent/shim/client.py` starts it.
"""

from __future__ import annotations

import sys

from agent.shim.command_line import run

if __name__ == "__main__":
    run(sys.argv[1:])
