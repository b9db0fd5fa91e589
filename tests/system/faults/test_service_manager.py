"""A real server under a service manager: SIGHUP reloads it, and it says when it is ready, reloads and stops."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.security.init import initialise
from tests.system.rig import Rig, until


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def wait_for(manager: socket.socket, field: str) -> str:
    """Read messages up to one with this field; return it."""
    while True:
        message = manager.recv(4096).decode()
        if field in message:
            return message


@pytest.mark.capability("D11")
def test_sighup_reloads_limits_tokens_and_certificates_without_an_end(rig: Rig, manager: socket.socket) -> None:
    rig.server_env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000000"}
    assert rig.server is not None
    rig.server.terminate()
    server = rig.start_server()
    assert "STATUS=ready, 0 agents online" in wait_for(manager, "READY=1")
    rig.start_agents("a")
    assert "1 agent online" in wait_for(manager, "1 agent")
    wait_for(manager, "WATCHDOG=1")
    old = (rig.data / "admin.token").read_text()
    (rig.data / "server.toml").write_text('[limits]\nhosts_per_task = 77\n[log]\nlevel = "warning"\n')
    (rig.data / "admin.token").unlink()
    initialise(rig.data, time.time_ns() // 1_000_000)
    assert (rig.data / "admin.token").read_text() != old
    os.kill(server.pid, signal.SIGHUP)
    wait_for(manager, "RELOADING=1")
    wait_for(manager, "READY=1")
    assert rig.json("GET", "/statistics")["hosts"]["connected"] == 1, "the new token is known, the agent still there"
    (rig.data / "server.toml").write_text("[limits]\nhosts_per_task = 0\n")
    os.kill(server.pid, signal.SIGHUP)
    until("the bad file is refused", lambda: "reload_failed" in server.log.read_text())
    (rig.data / "ca" / "server.pem").write_text("damaged")
    (rig.data / "server.toml").write_text("")
    os.kill(server.pid, signal.SIGHUP)
    until("so is the bad certificate", lambda: server.log.read_text().count("reload_failed") == 2)
    task_id = rig.run(argv=["echo", "still here"])
    assert rig.wait_final(task_id)["status"] == "completed"
    server.terminate()
    wait_for(manager, "STOPPING=1")
