"""A real server for the tools. One agent runs a few commands and ends before a fuzzer starts, so no fuzzed command
runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.system.rig import Rig

AGENT = "web-1"
HOSTS = ("web-2", "web-db", *(f"web{number:02}" for number in range(1, 13)))
"""With AGENT the host names in the description's examples."""
SPARE = ("spare-1", "spare-2", "spare-3")
"""Hosts that requests may rename, replace and delete."""
KNOWN = "CLARION_API_KNOWN"
"""Environment variable with the file of known ids, for tests/tools/api/hooks.py."""


@dataclass(frozen=True)
class Site:
    """A server.

    Attributes:
        address: Address of the server, without a path.
        token: Token of an administrator.
        read_only: Token for metrics and the description.
    """

    rig: Rig

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.rig.http_port}"

    @property
    def token(self) -> str:
        return (self.rig.data / "admin.token").read_text().strip()

    @property
    def read_only(self) -> str:
        return (self.rig.data / "metrics.token").read_text().strip()

    def read(self, path: str) -> bytes:
        """Send a request with the read-only token."""
        answer = httpx.get(
            self.address + path, headers={"Authorization": f"Bearer {self.read_only}"}, trust_env=False, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return answer.content

    @property
    def known(self) -> Path:
        return self.rig.folder / "known.json"


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Run a server and the agent AGENT while the context is open."""
    rig = Rig(folder)
    try:
        rig.start_server()
        rig.start_agents(AGENT)
        yield Site(rig)
    finally:
        rig.stop()


def prepare(here: Site) -> None:
    """Create tasks with results and outputs, hosts and join tokens, and stop the agent."""
    rig = here.rig
    for name in (*HOSTS, *SPARE):
        rig.json(
            "POST",
            "/hosts",
            json={"hostname": name, "labels": {"role": "db" if name == "web-db" else "web", "env": "prod"}},
        )
    kept = [rig.run(targets=[AGENT], command=f"seq {number}; echo no >&2; exit {number % 2}") for number in (20, 21)]
    for task_id in kept:
        rig.wait_final(task_id)
    rig.agents[AGENT].terminate()
    rig.wait_connected(0)
    pending = [rig.json("POST", "/tasks", json={"targets": [AGENT], "command": "true"})["task_id"] for _ in range(3)]
    tokens = [rig.json("POST", "/join-tokens", json={})["token_id"] for _ in range(3)]
    here.known.write_text(
        json.dumps({"tasks": kept, "failed": kept[1:], "pending": pending, "hosts": [AGENT], "tokens": tokens})
    )
