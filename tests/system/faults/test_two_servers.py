"""Two servers on one database: only one of them writes, whatever is stopped for however long (F5, I13)."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.mariadb import MariaDB
from tests.system.rig import BIN, Rig, until
from tests.system.test_mariadb import settings as mysql

LATE = 8
"""Requests that reach the stopped server before it wakes up."""
Settings = Callable[..., list[str]]


@pytest.fixture(params=["sqlite", "mysql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of servers with data directories of their own and one database."""
    if request.param == "sqlite":
        return lambda *more: [f"store.path={tmp_path / 'shared.db'}", *more]
    database: MariaDB = request.getfixturevalue("mariadb")
    ours = mysql(database, tmp_path)
    return lambda *more: [*ours, *more]


def said(rig: Rig) -> str:
    """The server's last words."""
    return (rig.folder / "server.log").read_text().splitlines()[-1]


def create(rig: Rig, name: str) -> httpx.Response:
    return rig.api("POST", "/tasks", json={"name": name, "targets": ["node1"], "argv": ["true"]})


def names(rig: Rig) -> set[str]:
    return {task["name"] for task in rig.json("GET", "/tasks", params={"limit": 100})["items"]}


@pytest.mark.capability("Z10", "D7", "R4", "I13", "F5")
def test_a_server_stopped_longer_than_its_lease_commits_nothing_and_ends(
    make_rig: Callable[..., Rig], shared: Settings
) -> None:
    first, second = (make_rig(*shared("store.lease_seconds=1")) for _ in range(2))
    old = first.start_server()
    first.start_agents("node1")
    assert create(first, "before").status_code == 201
    os.kill(old.pid, signal.SIGSTOP)
    answers: list[int] = []

    def late(number: int) -> None:
        try:
            answers.append(create(first, f"late {number}").status_code)
        except httpx.TransportError:
            answers.append(0)

    threads = [Thread(target=late, args=(number,)) for number in range(LATE)]
    second.start_server()  # waits until the lease has run out
    for thread in threads:
        thread.start()
    assert create(second, "after").status_code == 201
    os.kill(old.pid, signal.SIGCONT)
    assert old.popen.wait(15) == 69
    for thread in threads:
        thread.join()
    assert len(answers) == LATE and all(status in (0, 503) for status in answers), answers
    assert names(second) == {"before", "after"}, "no commit by the stale epoch"
    words = said(first)
    assert (
        "another server now uses the database" in words
        and f"process {second.server and second.server.pid}, epoch 2" in words
    )
    log = (first.folder / "server.log").read_text()
    assert log.count("another server now uses the database") == 1 and "Traceback" not in log, log


def test_a_second_server_refuses_to_start_and_names_the_holder_of_the_lease(
    make_rig: Callable[..., Rig], mariadb: MariaDB, tmp_path: Path
) -> None:
    shared = mysql(mariadb, tmp_path, "store.lease_seconds=600")
    first = make_rig(*shared)
    running = first.start_server()
    sets = [part for setting in (*shared, "store.lease_wait=1.5") for part in ("--set", setting)]
    ports = ["--http-port", "0", "--agent-port", "0", "--enrol-port", "0"]
    data = str(first.folder / "other")
    for arguments in (["run", "--init", "--data", data, *ports, *sets], ["restore", "--data", data, *sets]):
        begun = time.monotonic()
        done = subprocess.run([str(BIN / "clarion-server"), *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 69 and time.monotonic() - begun > 1.5, done
        line = done.stderr.splitlines()[-1]
        assert (
            f"host {os.uname().nodename}, process {running.pid}, epoch 1, until 20" in line
            and "store.lease_wait" in line
        ), line
    waiting = [json.loads(line) for line in done.stdout.splitlines() + done.stderr.splitlines() if line.startswith("{")]
    assert all("waiting" in entry["event"] for entry in waiting)
    assert running.alive() and create(first, "still mine").status_code in (201, 422)


def test_the_next_start_does_not_wait_after_a_stop_or_a_kill(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    first, second = (
        make_rig(f"store.path={tmp_path / 'shared.db'}", "store.lease_seconds=600", "store.lease_wait=0")
        for _ in range(2)
    )
    first.start_server().kill()
    first.start_server()  # the same data directory, so its lock says that the killed one is gone
    assert "lease_taken_from_stopped_server" in (first.folder / "server.log").read_text()
    assert first.server is not None and first.server.terminate() == 0
    second.start_server()
    assert second.server is not None and second.server.terminate() == 0


def test_a_server_that_waits_for_the_lease_can_be_stopped(make_rig: Callable[..., Rig]) -> None:
    first = make_rig("store.lease_seconds=600")
    first.start_server()
    sets = ["--set", f"store.path={first.data / 'clarion.db'}", "--set", "store.lease_wait=600"]
    ports = ["--http-port", "0", "--agent-port", "0", "--enrol-port", "0"]
    command = [str(BIN / "clarion-server"), "run", "--init", "--data", str(first.folder / "other"), *ports, *sets]
    with (first.folder / "waiting.log").open("wb") as log, subprocess.Popen(command, stderr=log) as waiting:
        until("it waits", lambda: "waiting_for_lease" in (first.folder / "waiting.log").read_text())
        waiting.terminate()
        assert waiting.wait(10) == 0


@pytest.mark.capability("F14")
def test_a_restore_waits_for_the_lease_of_a_server_killed_on_another_machine(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    first = make_rig(f"store.path={tmp_path / 'shared.db'}", "store.lease_seconds=1")
    first.start_server().kill()
    other = tmp_path / "other"
    other.mkdir()
    command = [
        str(BIN / "clarion-server"),
        "restore",
        "--data",
        str(other),
        "--set",
        f"store.path={tmp_path / 'shared.db'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # Before it, when the lease has not run out yet, a line says that it is waited for.
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "marked 0 open executions as lost", done
    with sqlite3.connect(tmp_path / "shared.db") as database:
        assert database.execute("SELECT epoch, until_ms FROM lease").fetchone() == (2, 0)
    database.close()
