"""Entry point of `python -m agent`, the same as `clarion-agent`.

As one frozen file the agent has no interpreter beside it, so the file is its own fork server too: the first argument
tells, before any part of the agent is imported.
"""

from __future__ import annotations

import sys

from agent.shim.command_line import FORK_SERVER

if __name__ == "__main__":
    if sys.argv[1:2] == [FORK_SERVER]:
        from agent.shim.command_line import run

        run(sys.argv[2:])
    else:
        from agent.main import main

        main()
