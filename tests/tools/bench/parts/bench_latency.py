"""One command on one idle host, from the POST to its final result, with real server, agent and command.

`python -m tests.tools.bench.parts.bench_latency`
"""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from pathlib import Path

from tests.system.rig import Rig

ROUNDS = 200


class Client:
    """One keep-alive connection."""

    def __init__(self, rig: Rig) -> None:
        token = (rig.data / "admin.token").read_text().strip()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", rig.http_port)

    def ask(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        self._connection.request(method, f"/api/v1{path}", json.dumps(body).encode() if body else None, self._headers)
        answer = self._connection.getresponse()
        data: dict[str, object] = json.loads(answer.read())
        assert answer.status < 300, data
        return data


def one(client: Client) -> float:
    """Return the seconds of one command."""
    begin = time.perf_counter()
    task = client.ask("POST", "/run", {"targets": ["all"], "argv": ["true"]})
    while task["status"] in ("pending", "running"):
        task = client.ask("GET", f"/tasks/{task['task_id']}?wait=10&since={task['version']}")
    assert task["status"] == "completed", task
    return time.perf_counter() - begin


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        rig.start_server()
        try:
            rig.start_agents("node1")
            client = Client(rig)
            for _ in range(10):
                one(client)
            times = sorted(one(client) * 1000 for _ in range(ROUNDS))
        finally:
            rig.stop()
    print(
        f"  POST to final, {ROUNDS} times: p50 {times[ROUNDS // 2]:.1f} ms, p99 "
        f"{times[ROUNDS * 99 // 100]:.1f} ms, max {times[-1]:.1f} ms"
    )


if __name__ == "__main__":
    main()
