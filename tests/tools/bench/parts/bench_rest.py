"""REST requests per second: a real server process, keep-alive connections from threads here, on the same cores.

`python -m tests.tools.bench.parts.bench_rest`
"""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from pathlib import Path

from tests.system.rig import Rig

CONNECTIONS = 8
SECONDS = 3.0
HOSTS = 10


def per_second(rig: Rig, method: str, path: str, body: dict[str, object] | None = None, expected: int = 200) -> float:
    """Return the requests answered per second over SECONDS."""
    token = (rig.data / "admin.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    done, end = [0] * CONNECTIONS, time.perf_counter() + SECONDS

    def ask(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", rig.http_port)
        while time.perf_counter() < end:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected, answer.status
            done[index] += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / SECONDS


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        rig.start_server()
        try:
            hosts = [
                rig.json("POST", "/hosts", json={"hostname": f"node{number}"})["host_id"] for number in range(HOSTS)
            ]
            task = {"targets": hosts, "argv": ["true"]}
            task_id = rig.json("POST", "/tasks", json=task)["task_id"]
            print(f"  {CONNECTIONS} connections, {SECONDS:g} s each, requests/s:")
            print(f"  GET  statistics               {per_second(rig, 'GET', '/api/v1/statistics'):8.0f}")
            print(f"  GET  one task                 {per_second(rig, 'GET', f'/api/v1/tasks/{task_id}'):8.0f}")
            print(f"  POST task of {HOSTS} hosts         {per_second(rig, 'POST', '/api/v1/tasks', task, 201):8.0f}")
            print(f"  GET  list of 50 tasks         {per_second(rig, 'GET', '/api/v1/tasks?limit=50'):8.0f}")
        finally:
            rig.stop()


if __name__ == "__main__":
    main()
