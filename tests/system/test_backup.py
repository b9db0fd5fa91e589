"""A backup of a server under load is restored on an empty data directory: agents reconnect, nothing starts twice."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from server.core.states import ExecutionStatus
from tests.system.rig import BIN, Rig, until

NAMES = ("node1", "node2", "node3")


def server(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    ports = [
        "--http-port",
        str(rig.http_port),
        "--agent-port",
        str(rig.agent_port),
        "--enrol-port",
        str(rig.enrol_port),
    ]
    return subprocess.run(
        [str(BIN / "clarion-server"), *arguments, "--data", str(rig.data), *ports],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **rig.server_env},
    )


@pytest.mark.capability("F14")
def test_a_backup_under_load_is_restored_elsewhere(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents(*NAMES)
    starts, backups = tmp_path / "starts", tmp_path / "backups"
    starts.mkdir()
    hold = tmp_path / "hold"
    hold.touch()
    once = f'mktemp "{starts}/$CLARION_COMMAND_ID.$(hostname).XXXXXXXX" >/dev/null'
    held = rig.run(command=f"{once}; while [ -e {hold} ]; do sleep 0.05; done; echo real")
    until("all are running", lambda: rig.json("GET", f"/tasks/{held}")["counts"]["running"] == len(NAMES))

    stop, tasks, failures = threading.Event(), [], []

    def load() -> None:
        try:
            while not stop.is_set():
                tasks.append(rig.run(command=f"{once}; echo {len(tasks)}"))
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=load)
    writer.start()
    until("tasks are running", lambda: len(tasks) >= 5)
    made = server(rig, "backup", "--to", str(backups), "--json")
    stop.set()
    writer.join()
    assert not failures and made.returncode == 0, made.stderr
    written = json.loads(made.stdout)
    assert written["manifest"]["rows"]["task"] >= 5
    for task_id in tasks:
        rig.wait_final(task_id)

    refused = server(rig, "restore", "--from", written["path"])
    assert refused.returncode == 69 and "another server uses this data directory" in refused.stderr
    assert server(rig, "doctor", "--set", f"backup.directory={backups}").returncode == 0
    assert rig.server is not None
    rig.server.kill()
    rig.data = tmp_path / "elsewhere"
    done = server(rig, "restore", "--from", written["path"])
    assert done.returncode == 0, done.stderr
    counters_equal_rows(rig.data / "clarion.db")
    rig.start_server()
    rig.wait_connected(len(NAMES))
    hold.unlink()
    until("the held commands have ended", lambda: not rig.commands())

    assert {row["status"] for row in rig.rows(held)} == {"lost"}
    after = rig.run(command=f"{once}; echo after")
    assert rig.wait_final(after)["completed_hosts"] == len(NAMES)
    names = Counter(path.name.rpartition(".")[0] for path in starts.iterdir())
    assert sum(names.values()) == len(NAMES) * (len(tasks) + 2), "each execution started exactly once"
    for name in NAMES:
        shown = subprocess.run(
            [str(BIN / "clarion-agent"), "status", "--state", str(rig.state(name))], capture_output=True, text=True
        ).stdout
        assert f"127.0.0.1:{rig.agent_port}, connected since" in shown and "certificate 1, ends" in shown


def counters_equal_rows(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        rows = Counter(dict(connection.execute("SELECT status, count(*) FROM command_host GROUP BY status")))
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(task)")]
        sums = {
            status: connection.execute(f"SELECT sum({column}) FROM task").fetchone()[0] or 0
            for status in ExecutionStatus
            if (column := f"count_{status.name.lower()}") in columns
        }
    assert len(sums) == len(ExecutionStatus) and sums == {status: rows[status.value] for status in sums}
