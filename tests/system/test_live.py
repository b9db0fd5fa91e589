"""One host's output followed while it comes: exact through kills, calm before a host that writes without end."""

from __future__ import annotations

import json
import os
import threading
import time
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.rig import Rig, until

ROUNDS = int(os.environ.get("LIVE_ROUNDS", "3"))
BYTES = int(os.environ.get("LIVE_BYTES", "100000000"))
AGENT_KB = 64 * 1024


class Viewer(threading.Thread):
    """Comes again with the last id whenever its connection breaks; `drop` breaks it. Ends with `end`. gaps: what it was told to be missing."""

    def __init__(self, rig: Rig, task_id: str, host: str) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{rig.http_port}/api/v1/tasks/{task_id}/hosts/{host}/output/live"
        self._token = (rig.data / "admin.token").read_text().strip()
        self.got = {"stdout": bytearray(), "stderr": bytearray()}
        self.gaps: list[dict[str, Any]] = []
        self.end: dict[str, Any] | None = None
        self.wrong = ""
        self.connections = 0
        self._last, self._dropped = "", False

    def drop(self) -> None:
        self._dropped = True

    def run(self) -> None:
        while self.end is None and not self.wrong:
            headers = {"Authorization": f"Bearer {self._token}"} | ({"Last-Event-ID": self._last} if self._last else {})
            try:
                with httpx.stream("GET", self._url, headers=headers, timeout=30) as response:
                    if response.status_code == 200:
                        self.connections += 1
                        self._read(response)
            except httpx.TransportError:
                time.sleep(0.05)

    def _read(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
                continue
            if "event" in fields:
                self._last = fields.get("id", self._last)
                self._take(fields["event"], json.loads(fields["data"]))
            fields = {}
            if self._dropped or self.wrong or self.end:
                self._dropped = False
                return

    def _take(self, name: str, data: Any) -> None:
        if name == "end":
            self.end = data
        elif name in ("output", "gap"):
            have = self.got[data["stream"]]
            if data["offset"] != len(have):
                self.wrong = f"{name} of {data['stream']} at {data['offset']}, and {len(have)} bytes are there"
            elif name == "gap":
                self.gaps.append(data)
                have += bytes(data["end"] - data["offset"])
            else:
                have += b64decode(data["base64"])


@pytest.mark.timeout(400 + 10 * ROUNDS)
def test_bytes_are_exact_through_kills_of_viewer_agent_and_server(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    stop, truth = tmp_path / "stop", tmp_path / "truth"
    loop = f"i=0; while [ ! -e {stop} ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
    task_id = rig.run(command=f"({loop}) | tee {truth}; echo over >&2")
    viewer = Viewer(rig, task_id, "node1")
    viewer.start()
    for number in range(ROUNDS):
        seen = len(viewer.got["stdout"])
        until("the viewer sees more", lambda seen=seen: viewer.wrong or len(viewer.got["stdout"]) > seen + 100, within=60)
        assert not viewer.wrong, viewer.wrong
        assert rig.server is not None
        if number % 3 == 0:
            viewer.drop()
        elif number % 3 == 1:
            rig.agents["node1"].kill()
            rig.start_agent("node1")
        else:
            rig.server.kill()
            rig.start_server()
    seen = len(viewer.got["stdout"])
    until("the viewer sees more after the last of it", lambda: viewer.wrong or len(viewer.got["stdout"]) > seen + 100, within=60)
    stop.touch()
    viewer.join(60)
    assert not viewer.wrong and viewer.end is not None and viewer.end["status"] == "completed", (viewer.wrong, viewer.end)
    assert viewer.connections > ROUNDS // 3 and viewer.gaps == []
    assert bytes(viewer.got["stdout"]) == truth.read_bytes()
    assert bytes(viewer.got["stderr"]) == b"over\n"
    assert viewer.end["stdout"]["total_bytes"] == len(viewer.got["stdout"])


def peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_host_that_writes_as_fast_as_it_can_fills_nothing_and_its_counts_are_true(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    gate = tmp_path / "gate"
    task_id = rig.run(command=f"while [ ! -e {gate} ]; do sleep 0.02; done; yes | head -c {BYTES}; echo done >&2")
    viewer = Viewer(rig, task_id, "node1")
    viewer.start()
    until("it is looked at", lambda: viewer.connections)
    Path(f"/proc/{rig.agents['node1'].pid}/clear_refs").write_text("5")  # forgets the peak of its start (proc(5))
    gate.touch()
    answers = 0
    while viewer.end is None and not viewer.wrong:
        assert rig.json("GET", f"/tasks/{task_id}")["status"] in ("running", "completed")
        answers += 1
        time.sleep(0.05)
    viewer.join(60)
    assert not viewer.wrong and viewer.end is not None and answers > 1
    stdout = viewer.end["stdout"]
    digest = sha256()
    for _ in range(BYTES // 1_000_000):
        digest.update(b"y\n" * 500_000)
    digest.update(b"y\n" * (BYTES % 1_000_000 // 2))
    assert (stdout["total_bytes"], len(viewer.got["stdout"])) == (BYTES, BYTES)
    host = viewer.end["host_id"]
    kept = rig.json("GET", f"/tasks/{task_id}/hosts/{host}/output", params={"limit": 1})
    assert (kept["sha256"], kept["head_bytes"], kept["tail_bytes"]) == (digest.hexdigest(), 262_144, 262_144)
    shown = BYTES - sum(gap["end"] - gap["offset"] for gap in viewer.gaps)
    assert 524_288 <= shown < BYTES // 4, "head and tail at least, and by far not everything"
    assert bytes(viewer.got["stderr"]) == b"done\n"
    assert peak_kb(rig.agents["node1"].pid) <= AGENT_KB


def test_the_command_line_follows(rig: Rig) -> None:
    rig.start_agents("node1")
    ran = rig.clarion("run", "-f", "node1", "--shell", r"printf 'one\n\033[31mred\033[0m\n'; echo bad >&2; sleep 1; echo two; exit 3")
    assert ran.returncode == 2 and ran.stdout == "one\nred\ntwo\n"
    assert ran.stderr.splitlines()[-2:] == ["bad", "failed, exit code 3"]
    task_id = rig.json("GET", "/tasks")["items"][0]["task_id"]
    raw = rig.clarion("tasks", "output", "-f", "--raw", task_id, "node1")
    assert raw.stdout == "one\n\x1b[31mred\x1b[0m\ntwo\n" and raw.returncode == 0
    lines = [json.loads(line) for line in rig.clarion("tasks", "output", "-f", "--jsonl", task_id, "node1").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["attempt", "output", "output", "end"]
    assert rig.clarion("tasks", "output", "-f", "--json", task_id, "node1").returncode == 64
