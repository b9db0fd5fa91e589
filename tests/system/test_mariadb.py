"""The same path on MariaDB, and errors of its settings."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mariadb import PASSWORD, USER, MariaDB, running
from tests.system.rig import BIN, Rig, until


def settings(database: MariaDB, folder: Path, *more: str, password: str = PASSWORD) -> list[str]:
    secret = folder / "password"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    name = database.new_database()
    ours = [
        f"store.port={database.port}",
        "store.host=127.0.0.1",
        f"store.user={USER}",
        f"store.database={name}",
        f"store.password_file={secret}",
    ]
    return ["store.kind=mysql", *ours, *more]


@pytest.mark.capability("C11")
def test_commands_run_on_mariadb_and_survive_a_killed_server(
    make_rig: Callable[..., Rig], mariadb: MariaDB, tmp_path: Path
) -> None:
    rig = make_rig(*settings(mariadb, tmp_path, "store.tls=require"))
    rig.start_server()
    rig.start_agents("node1", "node2", "node3")
    assert rig.clarion("run", "--hosts", "all", "--", "uname", "-a").returncode == 0
    hold = tmp_path / "hold"
    hold.touch()
    task_id = rig.run(command=f"while [ -e {hold} ]; do sleep 0.1; done; echo 'näin 密码'; exit 4")
    until("three hosts running", lambda: rig.json("GET", f"/tasks/{task_id}")["counts"]["running"] == 3)
    assert rig.server is not None
    rig.server.kill()
    hold.unlink()
    rig.start_server()
    rig.wait_final(task_id)
    rows = rig.rows(task_id)
    assert [(row["status"], row["exit_code"]) for row in rows] == [("failed", 4)] * 3
    assert rig.output(task_id, rows[0]["host_id"]) == "näin 密码\n".encode()
    assert rig.server.terminate(within=10) == 0


@pytest.mark.capability("Q13", "F11")
def test_hosts_keep_results_while_the_database_is_down(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    with running() as database:
        rig = make_rig(*settings(database, tmp_path, "http.write_timeout=2"))
        rig.start_server()
        rig.start_agents("node1", "node2")
        hold = tmp_path / "hold"
        hold.touch()
        task_id = rig.run(command=f"while [ -e {hold} ]; do sleep 0.1; done; echo kept")
        until("two hosts running", lambda: rig.json("GET", f"/tasks/{task_id}")["counts"]["running"] == 2)
        database.kill()
        hold.unlink()
        until("the server says what is wrong", lambda: rig.api("GET", "/health/deep", prefix="").status_code == 503)
        refused = rig.api("POST", "/run", json={"targets": ["all"], "argv": ["true"]})
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "store_unavailable", refused.text
        database.start()
        assert rig.wait_final(task_id)["status"] == "completed"
        rows = rig.rows(task_id)
        assert all(rig.output(task_id, row["host_id"]) == b"kept\n" for row in rows)


def start(tmp_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    sets = [part for flag in flags for part in ("--set", flag)]
    command = [
        str(BIN / "clarion-server"),
        "run",
        "--init",
        "--data",
        str(tmp_path / "data"),
        "--http-port",
        "0",
        "--agent-port",
        "0",
        "--enrol-port",
        "0",
        *sets,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("more", "password", "words"),
    [
        ((), "not-the-password", "Access denied"),
        (("store.tls=verify",), PASSWORD, "certificate"),
        (("store.database=nowhere",), PASSWORD, "nowhere"),
    ],
)
def test_a_wrong_login_is_explained_in_one_line(
    mariadb: MariaDB, tmp_path: Path, more: tuple[str, ...], password: str, words: str
) -> None:
    done = start(tmp_path, *settings(mariadb, tmp_path, *more, password=password))
    lines = [line for line in done.stderr.splitlines() if not line.startswith("made ")]
    assert done.returncode in (69, 78) and len(lines) == 1 and words in lines[0] and "store" in lines[0], done
    assert password not in done.stderr


def test_a_database_without_tls_is_refused_before_any_login(careless_mariadb: MariaDB, tmp_path: Path) -> None:
    done = start(tmp_path, *settings(careless_mariadb, tmp_path, "store.tls=require"))
    assert done.returncode in (69, 78) and "TLS" in done.stderr and "Traceback" not in done.stderr, done


def test_a_missing_database_is_explained_in_one_line(tmp_path: Path) -> None:
    done = start(
        tmp_path, "store.kind=mysql", "store.host=127.0.0.1", "store.port=1", "store.user=x", "store.database=x"
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("made ")]
    assert done.returncode == 69 and len(lines) == 1 and "store" in lines[0], done
