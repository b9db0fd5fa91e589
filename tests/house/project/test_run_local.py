"""`make run`: one command starts a server with a local agent, and one Ctrl-C ends both, the server last."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.admin.failures import CANNOT_CREATE
from server.errors import UNAVAILABLE

SCRIPT = Path(__file__).parents[3] / "deploy/dev/run_local.py"
DEADLINE = 60.0

pytestmark = pytest.mark.system


def free_ports() -> tuple[int, int, int]:
    with socket.socket() as one, socket.socket() as other, socket.socket() as third:
        for probe in (one, other, third):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1], third.getsockname()[1]


class Run:
    """deploy/dev/run_local.py as a process of its own, its output in a file."""

    def __init__(self, folder: Path, ports: tuple[int, int, int]) -> None:
        self.data, self.ports, self.log = folder / "data", ports, folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, str(SCRIPT), "--data", str(self.data)),
                    *("--http-port", str(ports[0]), "--agent-port", str(ports[1]), "--enrol-port", str(ports[2])),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                process_group=0,
            )

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while text not in self.said():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def get(self, path: str) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {(self.data / 'admin.token').read_text().strip()}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[0]}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            document: dict[str, object] = json.load(answer)
            return document

    def processes(self) -> list[str]:
        """Command lines of everything that was started with this data directory."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it ended meanwhile
                continue
            if str(self.data) in line:
                found.append(line)
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    running = Run(tmp_path, free_ports())
    yield running
    if running.process.poll() is None:
        os.killpg(running.process.pid, signal.SIGTERM)
        running.process.wait(DEADLINE)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_run_local_prints_all_places_and_ends_cleanly(run: Run, how: signal.Signals) -> None:
    run.wait_for("Ctrl-C ends it.")
    said = run.said()
    assert f"http://127.0.0.1:{run.ports[0]}/" in said
    assert f"Admin token:         {run.data / 'admin.token'}" in said
    assert f"CLARION_SERVER=http://127.0.0.1:{run.ports[0]} CLARION_TOKEN_FILE={run.data / 'admin.token'} " in said
    assert run.get("/api/v1/statistics")["hosts"] == {"known": 1, "connected": 1}
    run.process.send_signal(how)
    assert run.process.wait(DEADLINE) == 0, run.said()
    assert run.processes() == []


def test_a_port_in_use_is_named_by_the_server_and_ends_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = Run(tmp_path, (taken.getsockname()[1], *free_ports()[:2]))
        assert run.process.wait(DEADLINE) == UNAVAILABLE
    assert f"port in use: http.port = {run.ports[0]} on 127.0.0.1" in run.said()
    assert "Clarion is running" not in run.said()
    assert run.processes() == []


def test_a_data_directory_that_cannot_be_made_is_named_by_the_server_and_ends_it(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    run = Run(tmp_path, free_ports())
    assert run.process.wait(DEADLINE) == CANNOT_CREATE
    assert f"{tmp_path / 'data'}" in run.said()
    assert "Traceback" not in run.said()
