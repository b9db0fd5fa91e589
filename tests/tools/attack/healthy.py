"""One process of healthy simulated agents: `python -m tests.tools.attack.healthy`, started by `site`."""

from __future__ import annotations

import gc
import json
import ssl
import sys
from functools import cache
from pathlib import Path

from agent.enrolment import credentials
from loadtest.swarm.agent import Agent
from loadtest.swarm.config import Config
from loadtest.swarm.control import Control
from loadtest.swarm.loop import Loop, hostname_of


class Joined(Loop):
    """Hosts that have joined; the certificate and id of number n are in states/n."""

    def __init__(self, config: Config, states: Path) -> None:
        self._states = states
        super().__init__(config, cache(self._context))

    def _context(self, index: int) -> ssl.SSLContext:
        return credentials.client_context(self._states / str(index))

    def _agent(self, index: int) -> Agent:
        host_id = credentials.joined(self._states / str(index)).host_id
        return Agent(index, host_id, hostname_of(index), f"journal-{index}", self.shared, slots=self.config.slots)


def main() -> None:
    """Run the process. The first line on stdin is the Config with `states`, which is empty without TLS."""
    order = json.loads(sys.stdin.buffer.raw.readline())
    states = order.pop("states")
    loop = Joined(Config(**order), Path(states)) if states else Loop(Config(**order))
    try:
        Control(loop, 0, 1).run()
    finally:
        loop.close()


if __name__ == "__main__":
    gc.disable()
    main()
