"""`python -m agent.shim SOCKET_FD [--no-cgroup]`: the fork server, started by agent/shim/client.py."""

from __future__ import annotations

import sys

from agent.shim.forkserver import main

if __name__ == "__main__":
    main(int(sys.argv[1]), use_cgroup="--no-cgroup" not in sys.argv[2:])
