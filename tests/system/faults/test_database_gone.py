"""The database is removed under a running server: the server reports it and ends, and creates no empty one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.rig import BIN, Rig


def test_a_removed_database_ends_the_server_and_can_be_restored_from_a_copy(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("store.lease_seconds=1")
    server = rig.start_server()
    rig.start_agents("node1")
    assert rig.api("POST", "/tasks", json={"name": "kept", "targets": ["node1"], "argv": ["true"]}).status_code == 201
    for path in rig.data.glob("clarion.db*"):
        path.unlink()
    assert server.popen.wait(30) == 78
    last = (rig.folder / "server.log").read_text().splitlines()[-1]
    (copy,) = rig.data.glob("clarion.db.rescued-*")
    assert "was removed or moved away while the server used it" in last and str(copy) in last

    again = subprocess.run(
        [
            str(BIN / "clarion-server"),
            "run",
            "--data",
            str(rig.data),
            "--http-port",
            "0",
            "--agent-port",
            "0",
            "--enrol-port",
            "0",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode == 78 and "is missing or empty" in again.stderr and "Traceback" not in again.stderr

    os.rename(copy, rig.data / "clarion.db")
    rig.start_server()
    rig.wait_connected(1)
    assert [task["name"] for task in rig.json("GET", "/tasks")["items"]] == ["kept"]


@pytest.mark.parametrize("suffix", ["-wal"])
def test_a_removed_database_log_ends_the_server(make_rig: Callable[..., Rig], suffix: str) -> None:
    rig = make_rig("store.lease_seconds=1")
    server = rig.start_server()
    Path(f"{rig.data / 'clarion.db'}{suffix}").unlink()
    assert server.popen.wait(30) == 78
